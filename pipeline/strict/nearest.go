package strict

import "strings"

// Nearest returns the candidate that a user most likely meant by a name that is not among the candidates.
// It compares without regard to case by the Damerau-Levenshtein distance in its optimal string alignment form (one edit
// inserts, deletes, replaces a character or swaps two neighbours). A third of the name may be wrong. Of dotted names one
// with the same last segment is preferred, and a name without dots finds the candidate of which it is the last segment.
// Nearest returns false when nothing is near enough. Among equals the alphabetically first wins.
func Nearest(name string, candidates []string) (string, bool) {
	const longest = 128 // Names are shorter; what is longer is no misspelling.
	if name == "" || len(name) > longest {
		return "", false
	}
	folded := strings.ToLower(name)
	limit := max(1, len(folded)/3)
	last := lastSegment(folded)

	best, bestScore := "", 0
	for _, candidate := range candidates {
		if candidate == name || len(candidate) > longest {
			continue
		}
		other := strings.ToLower(candidate)
		sameLast := last == lastSegment(other)
		score := -1
		if diff := len(other) - len(folded); diff <= limit && -diff <= limit {
			if d := editDistance(folded, other); d <= limit && d < len(folded) {
				// Two points an edit, so that the last segment decides between candidates one edit apart.
				score = 2 * d
				if !sameLast {
					score += 3
				}
			}
		}
		if score < 0 && sameLast {
			// Right word in the wrong place: always worth naming, after anything that is merely misspelt.
			score = 2*limit + 4 + editDistance(folded, other)
		}
		if score < 0 {
			continue
		}
		if best == "" || score < bestScore || score == bestScore && candidate < best {
			best, bestScore = candidate, score
		}
	}
	return best, best != ""
}

func lastSegment(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// editDistance returns the optimal string alignment distance in bytes. It keeps three rows of the matrix.
func editDistance(a, b string) int {
	before, previous, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(previous[j]+1, row[j-1]+1, previous[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, previous, row = previous, row, before
	}
	return previous[len(b)]
}
