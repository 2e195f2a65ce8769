#!/usr/bin/env bash
# Checks and measures the CUDA engine on a machine with a GPU, which needs neither
# Go nor NVIDIA's compiler nor this repository: `make gpu-bundle` gathers all in
# bin/gpu-bundle, and there
#
#   ./gpu.sh [SECTION...]
#
# runs the sections named, or all of them in this order:
#
#   devices      what the machine has, with self-test
#   vectors      the golden vectors, also by the plain kernel of the yardstick
#   conformance  the suite of all engines
#   random       a million random trailers against the processor's engines
#   batches      rates over batch sizes: each GPU, the processor, both behind the
#                router; where the crossover is
#   kernels      what each kernel takes of a batch, and a row of each hash function
#   yardstick    the rate of one thread for each trailer, and how many times that
#                the engine reaches
#   variants     other device code (images), numbers of streams, sizes in flight
#   file         kigo verify on 1.1 million trailers
#
# A section that fails is told at the end, and the others are run.  What was
# measured comes to gpu.json, which `kigo bench --compare` reads, with what earlier
# runs have left there, and what was printed to gpu.log.  The environment can set
#
#   OUT      folder for the two, and for the file of trailers (else result)
#   BATCHES  batch sizes; BATCH the size where it isn't what is measured
#   RANDOM_TRAILERS, FILE_TRAILERS  how many
#   LEAST    least time of a measurement, such as 300ms
#   LIMIT    seconds that a program in it may run
#   SHORT    1 to leave out what takes long without a real GPU
#   BASE     an earlier gpu.json to compare with
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
out=${OUT:-$PWD/result}
batches=${BATCHES:-54,256,1024,4096,16384,65536,262144,1048576,4194304}
batch=${BATCH:-1048576}
random=${RANDOM_TRAILERS:-1000000}
blocks=${FILE_TRAILERS:-1100000}
least=${LEAST:-300ms}
limit=${LIMIT:-500}
short=$([ "${SHORT:-0}" = 0 ] && echo false || echo true)

all=(devices vectors conformance random batches kernels yardstick variants file)
sections=("$@")
[ $# -gt 0 ] || sections=("${all[@]}")
for section in "${sections[@]}"; do
	case " ${all[*]} " in
	*" $section "*) ;;
	*)
		echo "gpu.sh: no section $section; there are ${all[*]}" >&2
		exit 2
		;;
	esac
done

if ! mkdir -p "$out" || ! [ -w "$out" ]; then
	echo "gpu.sh: results can't be written to $out; OUT=FOLDER names another folder" >&2
	exit 1
fi
out=$(cd "$out" && pwd)
rows=$out/rows.jsonl
log=$out/gpu.log
: >"$log"
cd "$here" || exit 1
export KIGO_TEST_REQUIRE=cuda

say() { printf '%s\n' "$*" | tee -a "$log"; }

# tests runs tests of the test binary by a pattern, with what they are told.
tests() {
	local pattern=$1
	shift
	timeout -k 10 "$limit" ./gpu.test -test.v -test.short="$short" -test.timeout 0 -test.run "$pattern" \
		-images images -batches "$batches" -batch "$batch" -least "$least" "$@" 2>&1 |
		grep -v '^=== RUN' | tee -a "$log"
}

# measured runs tests that append to the rows.
measured() { tests "$1" -rows "$rows"; }

# field prints a number in a JSON object.
field() { sed -n "s/.*\"$1\": *\([0-9.]*\).*/\1/p" | head -n 1; }

# row appends a figure: engine, batch, rate.
row() {
	printf '{"engine":"%s","cores":%d,"batch":%d,"trailers_per_second":%s}\n' \
		"$1" "$(nproc)" "$2" "$3" >>"$rows"
}

# verify measures one run of kigo verify with some engines.
verify() {
	local name=$1 report began took rate
	shift
	began=$(date +%s%N)
	if ! report=$(timeout -k 10 "$limit" ./kigo verify --json "$@" "$out/trailers.dat" 2>>"$log"); then
		say "verify, $name: failed"
		return 1
	fi
	took=$((($(date +%s%N) - began) / 1000000))
	rate=$(field trailers_per_second <<<"$report")
	say "verify, $name: $blocks trailers in $(field seconds <<<"$report") s ($rate/s); $took ms with start-up"
	row "verify $name" "$blocks" "$rate"
}

# The engines of the processor, for a run without a GPU.
processor() {
	./kigo devices --json 2>/dev/null | tr -d ' \n' | tr '{' '\n' |
		sed -n 's/.*"name":"\([a-z0-9]*\)","available":true.*/\1/p'
}

# file verifies a file of the main net's size in all ways.
file() {
	local name status engines=()
	for name in $(processor); do
		engines+=(--engine "$name")
	done
	timeout -k 10 "$limit" ./kigo synth --blocks "$blocks" --worked 1 --difficulty 0 \
		--out "$out/trailers.dat" 2>&1 | tee -a "$log" &&
		verify processor "${engines[@]}" &&
		verify cuda --engine cuda &&
		verify cuda --engine cuda &&
		verify all
	status=$?
	rm -f "$out/trailers.dat"
	return $status
}

section() {
	case $1 in
	devices) ./kigo devices 2>&1 | tee -a "$log" ;;
	vectors) tests '^(TestVectors|TestFullSlots|TestSelfTest|TestYardstick)$' ;;
	conformance) tests '^(TestConformance|TestRandom|TestClose.*|TestCancelled.*)$' ;;
	random) tests '^TestMillion$' -random "$random" ;;
	batches) measured '^TestMeasureBatches$' ;;
	kernels) measured '^TestMeasureKernels$' ;;
	yardstick) measured '^TestYardstick$' ;;
	variants) measured '^TestMeasureVariants$' ;;
	file) file ;;
	esac
}

# quoted prints words that can stand in a JSON string.
quoted() { tr -d '"\134' | tr -s ' \n' ' ' | sed 's/^ *//; s/ *$//'; }

# result writes gpu.json, with the latest figure for each engine and batch.
result() {
	local cpu gpu
	cpu=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1 | quoted)
	gpu=$(./kigo devices 2>/dev/null | sed -n 's/^cuda:[^,]*, [0-9.µm]*s  *//p' | sort | uniq -c | quoted)
	{
		printf '{"format":1,"time":"%s","build":' "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
		./kigo version --json
		printf ',"machine":{"cpu":"%s; %s","threads":%d},"results":[\n' "$cpu" "$gpu" "$(nproc)"
		awk -F ',"trailers_per_second"' '
			!($1 in latest) { order[++n] = $1 }
			{ latest[$1] = $0 }
			END { for (i = 1; i <= n; i++) print latest[order[i]] (i < n ? "," : "") }' "$rows"
		printf ']}\n'
	} >"$out/gpu.json"
}

failed=()
for section in "${sections[@]}"; do
	say "=== $section"
	began=$SECONDS
	section "$section" || failed+=("$section")
	say "=== $section: $((SECONDS - began)) s"
done
if [ -s "$rows" ]; then
	result
	if ./kigo bench --compare "${BASE:-$out/gpu.json}" "$out/gpu.json" 2>&1 | tee -a "$log"; then
		say "written: $out/gpu.json"
	else
		failed+=(compare)
	fi
fi
if [ ${#failed[@]} -gt 0 ]; then
	say "FAILED: ${failed[*]}"
	exit 1
fi
say "all is well: ${sections[*]}"
