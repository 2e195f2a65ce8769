#!/usr/bin/env bash
# The demo behind `make demo`: a node among liars (kigo demo), then what Kigo does
# with files: real trailers, a synthetic chain through all eras, copies with one fault
# each.  It stops when anything is not as announced.
set -euo pipefail
cd "$(dirname "$0")/.."

kigo=bin/kigo
mainnet=testdata/mainnet
segment=$mainnet/trailers-0x94701-0x947ff.bin
blocks=660000 # beyond 0xa0700, where version 3 begins

[ -x "$kigo" ] || { echo "demo: $kigo is missing; run: make demo, or make NO_CUDA=1 demo" >&2; exit 1; }
work=$(mktemp -d "${TMPDIR:-/tmp}/kigo-demo.XXXXXX")
trap 'rm -rf "$work"' EXIT

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	bold=$'\e[1m' dim=$'\e[2m' off=$'\e[0m'
else
	bold='' dim='' off=''
fi

part=0
title() {
	part=$((part + 1))
	printf '\n%s%d. %s%s\n' "$bold" "$part" "$1" "$off"
}
say() { fmt -w 78 <<<"$*"; }

# run CODE ARGS... shows a kigo command with its output, and expects its exit
# code.
run() {
	local want=$1 got=0
	shift
	printf '\n%s$ kigo %s%s\n' "$dim" "${*//"$work/"/}" "$off"
	"$kigo" "$@" >"$work/out" 2>&1 || got=$?
	sed -e "s|$work/||g" -e 's/^/    /' "$work/out"
	[ "$got" = "$want" ] || {
		echo "demo: expected exit code $want, got $got: something is wrong here, please report it" >&2
		exit 1
	}
}

# fault KIND@BLOCK RULE WORDS [SYNTH FLAGS...] makes a chain with one fault and
# expects that kigo verify finds it as that rule at that block.
faults=0
fault() {
	local kind=$1 rule=$2 words=$3 found got=0
	shift 3
	[ $# -gt 0 ] || set -- --blocks "$blocks" --worked 0.003
	"$kigo" synth "$@" --seed 1 --fault "$kind" --out "$work/bad.dat" 2>"$work/err" || { cat "$work/err" >&2; exit 1; }
	"$kigo" verify "$work/bad.dat" >"$work/out" 2>/dev/null || got=$?
	found=$(grep '^block ' "$work/out" || true)
	printf '\n  %s%s%s\n' "$bold" "$words" "$off"
	sed -n -e "s|$work/||g" -e '/^block /,/^$/{/^$/!s/^/      /;}' -e 's/^\( .\{130\}\).*/\1…/' -e '/^  /p' "$work/out"
	[[ $got = 3 && $found == "block ${kind#*@} "*" $rule" ]] || {
		echo "demo: expected $rule at block ${kind#*@} and exit code 3, got code $got and: ${found:-nothing}" >&2
		exit 1
	}
	faults=$((faults + 1))
}

"$kigo" demo
printf '\n%sAnd files%s\n' "$bold" "$off"
say "Kigo tells whether Mochimo trailers are what they claim to be, wherever they come from."

title "This machine"
say "A proof of work is checked by the fastest engine the processor can run; all give the same bits, and each has just passed its self-test."
run 0 devices

title "Real trailers"
say "The genesis block, and 255 consecutive trailers of the main net from August 2024: every rule and every proof of work."
run 0 verify "$mainnet/trailer-0x0.bin"
run 0 verify --segment "$segment"
echo
say "The nonce of a block is a pair of haikus. The first of these blocks in words:"
run 0 show "$segment" 608001

title "One word of a real haiku"
say "In a copy, that block is not \"crying\" but \"arriving\" at a slow silence. It is still a haiku, and every link still holds; the work is gone."
cp "$segment" "$work/arriving.bin"
chmod u+w "$work/arriving.bin"
printf '\x12' | dd of="$work/arriving.bin" bs=1 seek=92 conv=notrunc status=none
run 3 verify --segment "$work/arriving.bin"

title "A synthetic chain through all eras"
say "From the genesis through Trigg, Peach and version 3, with neogenesis blocks and pseudoblocks where they belong, and real proofs of work at the lowest difficulty. Then the whole of it is verified."
run 0 synth --blocks "$blocks" --worked 0.01 --difficulty 0 --seed 1 --out "$work/chain.dat"
run 0 verify "$work/chain.dat"

title "The same with one fault each"
say "Each of these files has a single thing wrong, somewhere among its trailers. What kigo verify finds:"
fault nzgen@0 EMCM_NZGEN "a genesis block with something in it" --blocks 1000
fault phash@50001 EMCM_PHASH "a block that does not name the one before it"
fault stime-bridge@54400 EMCM_STIME "a block that took longer than the rules of its era allow"
fault pow-work@75001 EMCM_POWTRIGG "a Trigg proof of work, one bit short" --blocks 76000 --worked 1 --difficulty 2
fault pow-work@75901 EMCM_POWPEACH "a Peach proof of work, one bit short" --blocks 76000 --worked 1 --difficulty 2
fault pow-nonce@300001 EMCM_POWPEACH "a nonce that is no haiku"
fault mroot@400001 EMCM_MROOT "a Merkle root where there is nothing to have one"
fault diff@500001 EMCM_DIFF "a difficulty that does not follow from the block before"
fault bhash@657300 EMCM_BHASH "a version 3 block whose hash is not its own"
fault file-short@659999 EMCM_FILELEN "a file that ends within a trailer"

printf '\n%sAll as it should be:%s no liar moved the node, real trailers and the whole chain are valid, the changed word and all %d faults were found. (%d s)\n' \
	"$bold" "$off" "$faults" "$SECONDS"
