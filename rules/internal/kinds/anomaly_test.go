package kinds

import (
	"testing"
	"unsafe"
)

// TestBaselinesAreSmall bounds what an anomaly rule keeps of a key.
func TestBaselinesAreSmall(t *testing.T) {
	if size := max(unsafe.Sizeof(noveltyBaseline{}), unsafe.Sizeof(seasonalBaseline{})) + unsafe.Sizeof(anomalyKey{}); size > 1024 {
		t.Errorf("the state of a key takes %d bytes, more than a KiB", size)
	}
}
