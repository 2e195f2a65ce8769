package chaos

import (
	"testing"
	"time"
)

// Peers that serve another past below version 3 don't move a node that has no pin for
// it, and are charged only for work that isn't there.
func TestSyncHistory(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	w := liveWorld(t, WorldConfig{History: 256})
	legacy := []string{"legacy-altered", "legacy-other", "legacy-wrapped"}
	for _, c := range []struct {
		name  string
		kinds []string
	}{
		{"one of each", append(times(6, plain), legacy...)},
		{"half", append(times(6, plain), append(append(times(2, legacy[0]), times(2, legacy[1])...), times(2, legacy[2])...)...)},
		{"nearly half altered", append(times(5, plain), times(4, legacy[0])...)},
		{"half other", append(times(4, plain), times(4, legacy[1])...)},
		{"half wrapped", append(times(4, plain), times(4, legacy[2])...)},
	} {
		t.Run(c.name, func(t *testing.T) {
			as := crowd(c.kinds...)
			wantSynced(t, w, syncNode(t, w, as, 3, time.Minute), as)
		})
	}
}
