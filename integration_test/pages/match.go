package main

import "strings"

// matches tells whether the output is what the page shows: "..." within a line stands for anything, and a line "..." for any
// lines.
func matches(want, got []string) bool {
	if len(want) == 0 {
		return len(got) == 0
	}
	if want[0] == "..." {
		for skip := range len(got) + 1 {
			if matches(want[1:], got[skip:]) {
				return true
			}
		}
		return false
	}
	return len(got) > 0 && sameLine(want[0], got[0]) && matches(want[1:], got[1:])
}

func sameLine(want, got string) bool {
	parts := strings.Split(want, "...")
	rest, ok := strings.CutPrefix(got, parts[0])
	if !ok || len(parts) == 1 {
		return ok && rest == ""
	}
	last := len(parts) - 1
	for _, part := range parts[1:last] {
		at := strings.Index(rest, part)
		if at < 0 {
			return false
		}
		rest = rest[at+len(part):]
	}
	return strings.HasSuffix(rest, parts[last])
}

// diff shows what the page has (-) and what came (+), and what is the same in both.
func diff(want, got []string) string {
	// common[i][j] is how many lines of want[i:] and got[j:] agree at most.
	common := make([][]int, len(want)+1)
	for i := range common {
		common[i] = make([]int, len(got)+1)
	}
	for i := len(want) - 1; i >= 0; i-- {
		for j := len(got) - 1; j >= 0; j-- {
			if sameLine(want[i], got[j]) {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out strings.Builder
	i, j := 0, 0
	for i < len(want) || j < len(got) {
		switch {
		case i < len(want) && j < len(got) && sameLine(want[i], got[j]):
			out.WriteString("      " + got[j] + "\n")
			i, j = i+1, j+1
		case j == len(got) || i < len(want) && common[i+1][j] >= common[i][j+1]:
			out.WriteString("    - " + want[i] + "\n")
			i++
		default:
			out.WriteString("    + " + got[j] + "\n")
			j++
		}
	}
	return out.String()
}

// lines splits text, without blank lines at its end: in a transcript they only set commands apart. INFO's lines end as in a protocol.
func lines(text string) []string {
	text = strings.TrimRight(strings.ReplaceAll(text, "\r\n", "\n"), " \n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}
