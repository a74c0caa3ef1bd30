package spec

import (
	"fmt"
	"strings"
	"time"

	"github.com/edrwatch/edrwatch/pipeline/strict"
)

// Exception takes events out of a rule's sight until a day. It has an owner
// who answers for it, and it ends: one that nobody renews is no longer wanted.
type Exception struct {
	Name    string      `yaml:"name,required"`
	When    strict.Text `yaml:"when,required"`
	Owner   string      `yaml:"owner,required"`
	Expires string      `yaml:"expires,required"` // The first day on which it no longer holds: 2026-12-31.
	Comment string      `yaml:"comment"`
}

// End is the end of the exception.
func (x *Exception) End() (time.Time, error) { return time.Parse(time.DateOnly, x.Expires) }

func checkExceptions(c *Checker, list []Exception) {
	for i := range list {
		x := &list[i]
		if _, err := x.End(); err != nil {
			c.Problem("exceptions", fmt.Sprintf("exception %q: expires is %q, expected a day such as 2026-12-31", x.Name, x.Expires), "")
		}
		if strings.TrimSpace(x.Owner) == "" || strings.TrimSpace(x.Name) == "" {
			c.Problem("exceptions", fmt.Sprintf("exception %q needs a name and an owner", x.Name), "")
		}
	}
}
