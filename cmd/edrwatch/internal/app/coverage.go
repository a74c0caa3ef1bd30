package app

import (
	"github.com/edrwatch/edrwatch/rules/fleet"
	kafkasource "github.com/edrwatch/edrwatch/sources/kafka"
)

// inventory is what the API tells of the agents.
type inventory struct {
	*fleet.Fleet
	app *App
}

// Coverage implements api.Inventory. A file is no partition that another
// gateway could own.
func (i inventory) Coverage() fleet.Coverage {
	c := fleet.Coverage{Gateway: i.app.gatewayName()}
	for _, s := range i.app.sources {
		k, ok := s.Source.(*kafkasource.Source)
		if !ok || s.name == judgeName {
			continue
		}
		shares := k.Shares()
		c.Partial = c.Partial || shares == nil // It is not known yet what there is.
		for _, share := range shares {
			c.Partitions = append(c.Partitions, fleet.TopicShare{Topic: share.Topic, Owned: share.Owned, Of: share.Of})
			c.Partial = c.Partial || len(share.Owned) < share.Of
		}
	}
	return c
}
