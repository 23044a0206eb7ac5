//go:build linux || darwin

package capacity

import (
	"os"
	"syscall"
)

// freeOn is what is free in the file system of a directory.
func freeOn(dir string) (disk, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return disk{}, err
	}
	d := disk{block: int64(s.Bsize), bytes: int64(s.Bavail) * int64(s.Bsize), inodes: int64(s.Ffree)}
	if s.Files == 0 { // file systems that make inodes as they are needed
		d.inodes = -1
	}
	return d, nil
}

// blocksOf is how many bytes a file's blocks have. The system counts in 512 bytes whatever the size of a block is.
func blocksOf(info os.FileInfo) int64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return s.Blocks * 512
	}
	return 0
}
