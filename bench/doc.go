// Package bench compares Kigo's engines and passes with one another; README.md
// beside it holds what was found out.  Benchmarks of single parts stand beside
// the parts.  Nothing imports this package.
//
// Names are key=value, for benchstat:
//
//	go test -bench VerifyPoW -count 10 ./bench > new.txt
//	benchstat -col /impl new.txt
package bench
