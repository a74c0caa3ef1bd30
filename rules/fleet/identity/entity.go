package identity

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
)

// Entity is the one id of an agent. The zero Entity is none.
type Entity uint64

// entityOf is a hash of the product and its agent's strongest name. It is
// cryptographic, because names come from records: nobody may choose one that
// falls together with another agent's.
func entityOf(product string, kind Kind, text string) uint64 {
	var room [2 * (maxText + 2)]byte
	b := append(room[:0], product[:min(len(product), maxText)]...)
	b = append(b, 0, byte(kind))
	b = append(b, text...)
	sum := sha256.Sum256(b)
	return max(binary.BigEndian.Uint64(sum[:8]), 1)
}

// Of returns the entity of a product's agent by what a listing knows of it: its
// sensor id; of one without, the id or the name of its host. It is that of the
// events about it.
func Of(product, sensorID, hostID, host string) Entity {
	if id := string(appendID(nil, sensorID)); !isPlaceholder(id) {
		return Entity(entityOf(product, SensorID, id))
	}
	key := string(appendID(nil, hostID))
	if isPlaceholder(key) {
		key = ""
	}
	if h, _ := cutHost(nil, host); key == "" {
		key = h.short
	}
	if key == "" {
		return 0
	}
	return Entity(entityOf(product, Unnamed, key))
}

// AppendTo appends the id as edr.entity.id shows it: 16 hexadecimal digits.
func (e Entity) AppendTo(b []byte) []byte {
	var room [8]byte
	binary.BigEndian.PutUint64(room[:], uint64(e))
	return hex.AppendEncode(b, room[:])
}

// String returns the id as edr.entity.id shows it, empty for none.
func (e Entity) String() string {
	if e == 0 {
		return ""
	}
	return string(e.AppendTo(nil))
}

// MarshalText implements encoding.TextMarshaler.
func (e Entity) MarshalText() ([]byte, error) { return e.AppendTo(nil), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (e *Entity) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil || len(b) != 8 {
		return errors.New("identity: expected an entity's id of 16 hexadecimal digits")
	}
	*e = Entity(binary.BigEndian.Uint64(b))
	return nil
}
