package proxy

import "sync"

// block is a read buffer and the arguments that point into it. Blocks are borrowed while there is something to keep in
// them, so a client that is silent costs none.
type block struct {
	data []byte
	args [][]byte // handed out since the last fill; the capacity behind them is free
}

// Blocks come in these sizes, each with its own pool. A larger one is made to measure and not kept.
var (
	blockSizes = [...]int{4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20}
	blockPools [len(blockSizes)]sync.Pool
)

// firstArgs is how many arguments a block has room for at first: those of a command or a few.
const firstArgs = 16

// borrowBlock returns a block of at least size bytes, with anything in it.
func borrowBlock(size int) *block {
	for i, s := range blockSizes {
		if size > s {
			continue
		}
		if b, ok := blockPools[i].Get().(*block); ok {
			return b
		}
		size = s
		break
	}
	return &block{data: make([]byte, size)}
}

// giveBack ends the use of b and of all slices of it.
func (b *block) giveBack() {
	for i, s := range blockSizes {
		if len(b.data) == s {
			b.args = b.args[:0]
			blockPools[i].Put(b)
			return
		}
	}
}

// room returns an empty slice with room for n arguments, behind those handed out. They stay where they are.
func (b *block) room(n int) [][]byte {
	used := len(b.args)
	if cap(b.args)-used < n {
		b.args = make([][]byte, 0, max(n, 2*cap(b.args), firstArgs))
		used = 0
	}
	return b.args[used:used:cap(b.args)]
}
