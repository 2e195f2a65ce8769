// SPDX-License-Identifier: GPL-3.0-or-later

// Cycles of the time-stamp counter by part of the work, counted only when built
// with -DKIGO_AVX2_PROFILE (see the Makefile) and otherwise gone without a trace.

#ifndef KIGO_AVX2_PROFILE_H
#define KIGO_AVX2_PROFILE_H

#ifdef KIGO_AVX2_PROFILE

// A part is one queue; the one after the last has the trailers' own hashes.
struct part {
	uint64_t lanes, places; // without and with padding
	double cycles;          // of all calls but those that something interrupted
	uint64_t timed;         // lanes of those calls
	double least;           // cycles a lane of the best call without padding
};

static struct part profile[16];

static void profile_add(struct part *p, uint64_t cycles, unsigned lanes, unsigned width)
{
	double each = (double)cycles / lanes;
	p->lanes += lanes;
	p->places += (lanes + width - 1) / width * width;
	if (lanes % width == 0 && (p->least == 0 || each < p->least))
		p->least = each;
	if (p->least == 0 || each < 8 * p->least) {
		p->cycles += (double)cycles;
		p->timed += lanes;
	}
}

#define PROFILE_START uint64_t start_ = __rdtsc()
#define PROFILE_END(part, lanes, width) profile_add(&profile[part], __rdtsc() - start_, lanes, width)

#else
#define PROFILE_START do { } while (0)
#define PROFILE_END(part, lanes, width) do { } while (0)
#endif

#endif
