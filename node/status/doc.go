// Package status holds what the node tells of itself: its state, its tip, how a
// sync goes, its alarms, and a feed of what happened.
//
// It is a leaf of plain values, so that who shows them needs to know nothing of who
// makes them.  Field names in JSON are part of the interface: they are added to,
// not renamed (docs/api.md).
package status
