//go:build !race

package synth

const underRace = false
