package main

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// goBenchmark is a line of go test -bench -benchmem: name, processors, ns/op, allocations.
var goBenchmark = regexp.MustCompile(`(?m)^Benchmark(\S+?)(?:-\d+)?\s+\d+\s+([0-9.]+) ns/op.*?\s(\d+) allocs/op$`)

// goBenchmarks is a table of the medians, each with its ratio to the first that differs from it only behind the last slash.
func goBenchmarks(out string) (string, error) {
	var names []string
	times, allocations := map[string][]float64{}, map[string]string{}
	for _, m := range goBenchmark.FindAllStringSubmatch(out, -1) {
		ns, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			return "", err
		}
		if times[m[1]] == nil {
			names = append(names, m[1])
		}
		times[m[1]], allocations[m[1]] = append(times[m[1]], ns), m[3]
	}
	if len(names) == 0 {
		return "", errors.New("go test -bench printed no results")
	}
	var table strings.Builder
	table.WriteString("| benchmark | ns | × the first | allocations |\n|---|---:|---:|---:|\n")
	var group, first string
	for _, name := range names {
		if g := name[:max(0, strings.LastIndexByte(name, '/'))]; g != group {
			group, first = g, name
		}
		fmt.Fprintf(&table, "| %s | %.0f | %.2f | %s |\n", name, median(times[name]), medianRatio(times[name], times[first]), allocations[name])
	}
	return table.String(), nil
}
