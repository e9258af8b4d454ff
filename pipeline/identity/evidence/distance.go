package evidence

// damerau is the number of single-character insertions, deletions, replacements and swaps of neighbours that turn one
// text into the other, or most+1 as soon as it is known to be more than most.
func damerau(a, b []rune, most int) int {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > most {
		return most + 1
	}
	var room [3][64]int
	before, last, row := room[0][:], room[1][:], room[2][:]
	if len(b) >= len(row) {
		before, last, row = make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	}
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		least := i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d := min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, before[j-2]+1)
			}
			row[j] = d
			least = min(least, d)
		}
		if least > most {
			return most + 1
		}
		before, last, row = last, row, before
	}
	return min(last[len(b)], most+1)
}

// jaroWinkler is the similarity of Jaro with Winkler's bonus for a common beginning, 0 to 1. It is symmetric.
func jaroWinkler(a, b []rune) float64 {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(a) == 0 {
		return 0
	}
	if len(b) > 64 {
		a, b = a[:min(len(a), 64)], b[:64] // the marks below are bits of one word
	}
	window := max(len(b)/2-1, 0)
	var inA, inB uint64
	matches := 0
	for i, r := range a {
		for j := max(0, i-window); j < min(len(b), i+window+1); j++ {
			if inB&(1<<j) == 0 && b[j] == r {
				inA |= 1 << i
				inB |= 1 << j
				matches++
				break
			}
		}
	}
	if matches == 0 {
		return 0
	}
	swapped, j := 0, 0
	for i := range a {
		if inA&(1<<i) == 0 {
			continue
		}
		for inB&(1<<j) == 0 {
			j++
		}
		if a[i] != b[j] {
			swapped++
		}
		j++
	}
	m := float64(matches)
	jaro := (m/float64(len(a)) + m/float64(len(b)) + (m-float64(swapped)/2)/m) / 3
	prefix := 0
	for prefix < min(4, len(a)) && a[prefix] == b[prefix] {
		prefix++
	}
	return jaro + float64(prefix)*.1*(1-jaro)
}
