package ptx

import "strings"

// keep finds out which registers must outlive a stop at a barrier: those that are
// named in lines that may have run before it and in lines that may run after it.
// The others are variables of the C++ function, which is much quicker.
func (k *kernel) keep() {
	labels := map[string]int{}
	for i, l := range k.lines {
		labels[strings.TrimSuffix(l.text, ":")] = i
	}
	next, before := make([][]int, len(k.lines)), make([][]int, len(k.lines))
	for i, l := range k.lines {
		var to []int
		m := statement.FindStringSubmatch(l.text)
		always := m != nil && m[2] == "" // no predicate
		if m == nil || !always || m[3] != "ret" && !strings.HasPrefix(m[3], "bra") {
			to = append(to, i+1)
		}
		if m != nil && strings.HasPrefix(m[3], "bra") {
			target, ok := labels[m[4]]
			if !ok {
				target = len(k.lines) // refused when it is translated
			}
			to = append(to, target)
		}
		for _, j := range to {
			if j < len(k.lines) {
				next[i], before[j] = append(next[i], j), append(before[j], i)
			}
		}
	}
	k.kept = map[string]bool{}
	for i, l := range k.lines {
		if !strings.HasPrefix(l.text, "bar.") {
			continue
		}
		earlier := k.named(i, before)
		for name := range k.named(i, next) {
			if earlier[name] {
				k.kept[name] = true
			}
		}
	}
}

// named returns the registers named in lines that edges lead to from line from.
func (k *kernel) named(from int, edges [][]int) map[string]bool {
	all := map[string]bool{}
	seen := make([]bool, len(k.lines))
	for todo := []int{from}; len(todo) > 0; {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, j := range edges[i] {
			if seen[j] {
				continue
			}
			seen[j] = true
			todo = append(todo, j)
			if text := k.lines[j].text; text[0] != '.' { // a declaration
				for _, name := range registers.FindAllString(text, -1) {
					all[name] = true
				}
			}
		}
	}
	return all
}
