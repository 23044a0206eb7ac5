package upstream

import "bytes"

// Slots is how many hash slots a Redis Cluster has.
const Slots = 16384

// NoSlot is the slot of what names no key.
const NoSlot = -1

// Unit is a run of commands in a Batch that goes to one node and can't be taken apart: a command, or a MULTI with what it queues up to
// its EXEC.
type Unit struct {
	Slot    int  // of all its keys; NoSlot: any node will do
	End     int  // where it ends in Batch.Req
	Count   int  // how many replies it brings
	Replica bool // a replica may answer it
	Script  bool // it holds a script, whose error may be the script's own words: it is followed to no other node unless that is confirmed
	Nearest bool // of those that may, the node that answers health checks fastest: a replica or the master; else replicas in turn
}

// Slot is the hash slot in which a Redis Cluster keeps the key prefix+key: CRC16 (XMODEM) of what stands in the first braces, if
// that is anything, or of all of it.
func Slot(prefix, key []byte) int {
	name := tagged{prefix, key}
	from, to := 0, name.len()
	if open := name.index('{', 0); open >= 0 {
		if end := name.index('}', open+1); end > open+1 {
			from, to = open+1, end
		}
	}
	var crc uint16
	for i := from; i < to; i++ {
		crc = crc<<8 ^ crc16[byte(crc>>8)^name.at(i)]
	}
	return int(crc) % Slots
}

// tagged is a name in two parts, which need not be put together to be hashed.
type tagged struct{ prefix, key []byte }

func (t tagged) len() int { return len(t.prefix) + len(t.key) }

func (t tagged) at(i int) byte {
	if i < len(t.prefix) {
		return t.prefix[i]
	}
	return t.key[i-len(t.prefix)]
}

// index is where c first stands from the given place on, negative if nowhere.
func (t tagged) index(c byte, from int) int {
	if from < len(t.prefix) {
		if i := bytes.IndexByte(t.prefix[from:], c); i >= 0 {
			return from + i
		}
		from = len(t.prefix)
	}
	if i := bytes.IndexByte(t.key[from-len(t.prefix):], c); i >= 0 {
		return from + i
	}
	return -1
}

// crc16 is the table of CRC16's XMODEM variant: polynomial 0x1021, nothing reflected, from 0.
var crc16 = func() (table [256]uint16) {
	for i := range table {
		crc := uint16(i) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
		table[i] = crc
	}
	return table
}()
