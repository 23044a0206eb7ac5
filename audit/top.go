package audit

import (
	"cmp"
	"container/heap"
	"encoding/json"
	"slices"
)

// mostPrefixes is how many prefixes are told apart at once.
const mostPrefixes = 1000

// Prefix is a beginning that keys have in common, and how much of them there is.
type Prefix struct {
	Prefix string `json:"prefix"`
	Amount int64  `json:"amount"` // keys, or bytes
	Over   int64  `json:"over"`   // the amount is too high by this at most
}

// top finds the prefixes with the most of something in bounded memory, by the algorithm Space-Saving (Metwally et al., 2005): a
// prefix that there is no room for takes the place of the one with the least, and its amount, as what it may be too high by.
// Whatever has more than a thousandth of everything is among them, and no amount is too high by more than that.
type top struct {
	most  int
	list  []*Prefix // a heap, the least first
	where map[string]int
}

func newTop(most int) *top { return &top{most: most, where: map[string]int{}} }

func (t *top) add(prefix string, amount int64) {
	i, known := t.where[prefix]
	switch {
	case known:
		t.list[i].Amount += amount
		heap.Fix(t, i)
	case len(t.list) < t.most:
		heap.Push(t, &Prefix{Prefix: prefix, Amount: amount})
	default:
		least := t.list[0]
		delete(t.where, least.Prefix)
		*least = Prefix{Prefix: prefix, Amount: least.Amount + amount, Over: least.Amount}
		t.where[prefix] = 0
		heap.Fix(t, 0)
	}
}

// first returns the n largest, without those of which more than half may be others' amounts: they only happen to be the last seen.
func (t *top) first(n int) []Prefix {
	sure := slices.DeleteFunc(t.all(), func(p Prefix) bool { return p.Over > p.Amount/2 })
	return sure[:min(n, len(sure))]
}

// all returns all, the largest first.
func (t *top) all() []Prefix {
	all := make([]Prefix, 0, len(t.list))
	for _, p := range t.list {
		all = append(all, *p)
	}
	slices.SortFunc(all, func(a, b Prefix) int { return cmp.Or(cmp.Compare(b.Amount, a.Amount), cmp.Compare(a.Prefix, b.Prefix)) })
	return all
}

// Len, Less, Swap, Push and Pop are for container/heap.
func (t *top) Len() int           { return len(t.list) }
func (t *top) Less(i, j int) bool { return t.list[i].Amount < t.list[j].Amount }

func (t *top) Swap(i, j int) {
	t.list[i], t.list[j] = t.list[j], t.list[i]
	t.where[t.list[i].Prefix], t.where[t.list[j].Prefix] = i, j
}

func (t *top) Push(x any) {
	p := x.(*Prefix)
	t.where[p.Prefix] = len(t.list)
	t.list = append(t.list, p)
}

func (t *top) Pop() any {
	last := t.list[len(t.list)-1]
	t.list = t.list[:len(t.list)-1]
	delete(t.where, last.Prefix)
	return last
}

// MarshalJSON and UnmarshalJSON are for the state of a walk.
func (t *top) MarshalJSON() ([]byte, error) { return json.Marshal(t.all()) }

// UnmarshalJSON adds to an empty top.
func (t *top) UnmarshalJSON(text []byte) error {
	var list []*Prefix
	if err := json.Unmarshal(text, &list); err != nil {
		return err
	}
	*t = *newTop(mostPrefixes)
	for _, p := range list[:min(len(list), t.most)] {
		if _, twice := t.where[p.Prefix]; !twice {
			heap.Push(t, p)
		}
	}
	return nil
}
