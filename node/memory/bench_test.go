package memory

import (
	"testing"
	"time"

	"kigo/node/mcm"
)

func BenchmarkMemory(b *testing.B) {
	var many Changes
	for i := range 4096 {
		many.Peers = append(many.Peers, peerAt(i, noon))
	}
	for i := range 1000 {
		many.Groups = append(many.Groups, Group{Prefix: prefix(i), LastUsed: noon})
		many.Invalid = append(many.Invalid, invalidAt(i, noon))
	}
	b.Run("op=save/peers=4096", func(b *testing.B) {
		db := mustOpen(b, tempFile(b), Options{})
		for b.Loop() {
			mustSave(b, db, noon, &many)
		}
	})
	b.Run("op=load/peers=4096", func(b *testing.B) {
		db := mustOpen(b, tempFile(b), Options{})
		mustSave(b, db, noon, &many)
		for b.Loop() {
			mustLoad(b, db, noon)
		}
	})
	ids := make([]mcm.Hash, MaxVerified)
	for i := range ids {
		ids[i] = hash(i)
	}
	filled := func(b *testing.B) (*DB, string) {
		path := tempFile(b)
		db := mustOpen(b, path, Options{})
		mustSave(b, db, noon, &Changes{Verified: ids})
		return db, path
	}
	b.Run("op=save/verified=1000", func(b *testing.B) { // into a full table
		db, _ := filled(b)
		now := noon
		for b.Loop() {
			now = now.Add(time.Second)
			mustSave(b, db, now, &Changes{Verified: ids[:1000]})
		}
	})
	b.Run("op=load/verified=262144", func(b *testing.B) {
		db, _ := filled(b)
		for b.Loop() {
			mustLoad(b, db, noon)
		}
	})
	b.Run("op=open/verified=262144", func(b *testing.B) {
		db, path := filled(b)
		mustClose(b, db)
		for b.Loop() {
			mustClose(b, mustOpen(b, path, Options{}))
		}
	})
}
