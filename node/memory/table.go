package memory

// A table is a bucket with records.
type table int

const (
	peers table = iota
	groups
	invalid
	trailers
	verified
	evidences
	waiting
	tables // how many
)

// String returns the table's name in metrics.
func (t table) String() string {
	return [tables]string{"peer", "group", "invalid", "trailer", "verified", "evidence", "waiting"}[t]
}

// name returns the name of the bucket.
func (t table) name() []byte {
	return []byte([tables]string{"peers", "groups", "invalid", "trailers", "verified", "evidence", "waiting"}[t])
}

// counts has the number of records of each table.
type counts [tables]int

// The reasons for which a record leaves.
type reason int

const (
	malformed reason = iota // doesn't decode, or has no place in its table
	tooOld
	tooNew   // written under another clock
	capacity // to make room
	reasons
)

// String returns the reason as the label of metrics has it.
func (r reason) String() string {
	return [reasons]string{"malformed", "expired", "ahead", "capacity"}[r]
}

// losses counts records that left.
type losses [tables][reasons]int
