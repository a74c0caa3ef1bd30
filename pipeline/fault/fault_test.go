package fault

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

func TestOf(t *testing.T) {
	wrapped := fmt.Errorf("writing bulk: %w", New(Permanent, TooLarge, "document of %d bytes", 9).WithHint("raise max_bytes"))
	for _, tc := range []struct {
		name   string
		err    error
		class  Class
		reason Reason
	}{
		{"a classified error keeps its class through wrapping", wrapped, Permanent, TooLarge},
		{"an unclassified error is tried again", io.ErrUnexpectedEOF, Transient, Unavailable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := Of(tc.err); got.Class != tc.class || got.Reason != tc.reason {
				t.Errorf("Of = %v %v, want %v %v", got.Class, got.Reason, tc.class, tc.reason)
			}
		})
	}
	if Of(nil) != nil {
		t.Error("Of(nil) is an error")
	}
	if want := "writing bulk: document of 9 bytes: raise max_bytes"; wrapped.Error() != want {
		t.Errorf("Error() = %q, want %q", wrapped.Error(), want)
	}
	if cause := New(Transient, Unavailable, "dialing: %w", io.EOF); !errors.Is(cause, io.EOF) {
		t.Error("the cause is lost")
	}
}
