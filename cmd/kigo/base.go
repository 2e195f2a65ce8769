package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"kigo/node/mcm"
	"kigo/node/proof"
)

// A baseFile is the first block that a network's chain keeps, as a file holds it.
// Weight is that of the chain up to and including it, the most significant digit
// first, and Time its solve time in Unix seconds.
type baseFile struct {
	Height mcm.BlockNum `json:"height"`
	Hash   string       `json:"hash"`
	Weight string       `json:"weight"`
	Time   uint32       `json:"time"`
}

// readBase reads the file of the setting chain.base; the zero Anchor stands for the
// genesis.
func readBase(file string) (a proof.Anchor, err error) {
	if file == "" {
		return a, nil
	}
	bad := func(problem string) error {
		return usagef(`chain.base: %s: %s; want {"height": N, "hash": "64 hex digits", "weight": "64 hex digits", "time": UNIX}`, file, problem)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return a, usagef("chain.base: %v", err)
	}
	var b baseFile
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&b); err != nil {
		return a, bad(err.Error())
	}
	if _, err := d.Token(); err != io.EOF {
		return a, bad("there is something behind the object")
	}
	a.Num, a.Time, a.Fixed = b.Height, b.Time, true
	hash, err := hex.DecodeString(b.Hash)
	if err != nil || len(hash) != mcm.HashLen {
		return a, bad(fmt.Sprintf("hash %.80q is not 64 hex digits", b.Hash))
	}
	a.Hash = mcm.Hash(hash)
	if a.Weight, err = mcm.ParseWeight(b.Weight); err != nil {
		return a, bad(fmt.Sprintf("weight: %v", err))
	}
	return a, nil
}
