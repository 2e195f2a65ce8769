package rules

import (
	"fmt"

	"kigo/node/mcm"
)

// A Rule is the protocol's name for a check that can fail (docs/spec/chain.md
// section 1.1).  It is an error itself, so errors.Is(err, rules.PrevHash) works
// on any error that Check returns.
type Rule string

// The rules of trailers and trailer files.
const (
	NonZeroGenesis  Rule = "EMCM_NZGEN"
	GenesisHash     Rule = "EMCM_GENHASH"
	PrevHash        Rule = "EMCM_PHASH"
	Num             Rule = "EMCM_BNUM"
	Overflow        Rule = "EMCM_MATH64_OVERFLOW"
	MinFee          Rule = "EMCM_MFEE"
	TxCount         Rule = "EMCM_TCOUNT"
	Nonce           Rule = "EMCM_NONCE"
	MerkleRoot      Rule = "EMCM_MROOT"
	SolveTime       Rule = "EMCM_STIME"
	StartTime       Rule = "EMCM_TIME0"
	Difficulty      Rule = "EMCM_DIFF"
	BlockHash       Rule = "EMCM_BHASH"
	PowTrigg        Rule = "EMCM_POWTRIGG"
	PowPeach        Rule = "EMCM_POWPEACH"
	PowAnomaly      Rule = "EMCM_POWANOMALY"
	FileData        Rule = "EMCM_FILEDATA"
	FileLen         Rule = "EMCM_FILELEN"
	EOF             Rule = "EMCM_EOF"
	RewardsOverflow Rule = "EMCM_MREWARDS_OVERFLOW"
	Invalid         Rule = "EINVAL"
)

// meaning says each rule in words.
var meaning = map[Rule]string{
	NonZeroGenesis:  "the genesis trailer holds nothing but its hash",
	GenesisHash:     "the chain begins with the main net's genesis block",
	PrevHash:        "a trailer names the hash of the block before it",
	Num:             "block numbers rise by one",
	Overflow:        "the sum stays within its bits",
	MinFee:          "the minimum fee is at least 500, and 0 where no transactions are",
	TxCount:         "a block has at most 32768 transactions, a neogenesis block none",
	Nonce:           "blocks without proof of work have an all-zero nonce",
	MerkleRoot:      "blocks without transactions have an all-zero Merkle root before version 3, pseudoblocks the one of their number from then on",
	SolveTime:       "the solve time fits the start time, the bridge time and our clock",
	StartTime:       "the start time is the solve time of the block before",
	Difficulty:      "the difficulty follows from the block before",
	BlockHash:       "from version 3 on the block hash is the SHA-256 of the trailer",
	PowTrigg:        "the block carries a Trigg proof of work for its difficulty",
	PowPeach:        "the block carries a Peach proof of work for its difficulty",
	PowAnomaly:      "block 0x52d3c carries its work or its one known hash",
	FileData:        "a trailer file holds at least one trailer",
	FileLen:         "a trailer file's length is a multiple of 160",
	EOF:             "the trailer lies within the file",
	RewardsOverflow: "the sum of rewards stays within 64 bits",
	Invalid:         "a file has a last trailer",
}

// Error returns the rule's name.
func (r Rule) Error() string { return string(r) }

// IsWork reports whether the rule is one of proof of work.
func (r Rule) IsWork() bool {
	return r == PowPeach || r == PowTrigg || r == PowAnomaly || r == Nonce
}

// Meaning says in words what the rule asks for.
func (r Rule) Meaning() string { return meaning[r] }

// An Error is a trailer that breaks a rule.  It unwraps to the rule.
type Error struct {
	Rule   Rule
	Num    mcm.BlockNum // the number the block must have
	Detail string       // what was expected and what was found
}

func (e *Error) Error() string {
	return fmt.Sprintf("block %v: %s: %s", e.Num, e.Rule, e.Detail)
}

func (e *Error) Unwrap() error { return e.Rule }

func fail(r Rule, n mcm.BlockNum, format string, args ...any) error {
	return &Error{r, n, fmt.Sprintf(format, args...)}
}
