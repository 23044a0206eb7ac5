package capacity

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Memory is what Redis says of its memory, in bytes.
type Memory struct {
	Used    int64 `json:"used"`    // used_memory
	Dataset int64 `json:"dataset"` // used_memory_dataset: without what Redis needs for itself
	RSS     int64 `json:"rss"`     // used_memory_rss: as the system sees it
}

func memoryOf(ctx context.Context, client *redis.Client) (m Memory, err error) {
	text, err := client.Info(ctx, "memory").Result()
	if err != nil {
		return m, fmt.Errorf("memory of the upstream: %w", err)
	}
	for field, to := range map[string]*int64{"used_memory": &m.Used, "used_memory_dataset": &m.Dataset, "used_memory_rss": &m.RSS} {
		if *to, err = infoNumber(text, field); err != nil {
			return m, err
		}
	}
	return m, nil
}

func infoNumber(text, field string) (int64, error) {
	_, rest, found := strings.Cut("\n"+text, "\n"+field+":")
	if !found {
		return 0, fmt.Errorf("the upstream's INFO has no %s", field)
	}
	line, _, _ := strings.Cut(rest, "\r\n")
	n, err := strconv.ParseInt(line, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s of the upstream's INFO: %w", field, err)
	}
	return n, nil
}

const (
	settleEvery = 250 * time.Millisecond
	settleMost  = 20 // times, then it is taken as it is
	settled     = 64 << 10
)

// settledMemory waits until the memory stays what it is: while hash tables are made larger, which goes on for a moment after the last
// write, Redis has the old and the new one.
func settledMemory(ctx context.Context, client *redis.Client) (m Memory, err error) {
	tick := time.NewTicker(settleEvery)
	defer tick.Stop()
	for range settleMost {
		last := m.Used
		if m, err = memoryOf(ctx, client); err != nil {
			return m, err
		}
		if change := m.Used - last; -settled < change && change < settled {
			return m, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return m, context.Cause(ctx)
		}
	}
	return m, nil
}
