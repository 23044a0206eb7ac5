package proxy

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"sessiongate/command"
	"sessiongate/upstream"
)

const (
	// learnEvery is how often it is looked whether there is another upstream to learn from, learnRetry as long as there was none.
	learnEvery, learnRetry = 5 * time.Second, 50 * time.Millisecond
)

// Learn adds the commands to the table that the upstream knows and the table does not, where the upstream says for certain which of
// their arguments are keys. It goes on until ctx ends: another version of the upstream may know more.
func Learn(ctx context.Context, pool *upstream.Pool, log *zap.Logger) {
	learned := ""
	for wait := learnRetry; ctx.Err() == nil; {
		if up, _ := pool.Health(); up && pool.Version() != learned {
			infos, err := pool.Admin().Command(ctx).Result()
			if err == nil {
				learned, wait = pool.Version(), learnEvery
				if names := command.Extend(certain(infos)); len(names) > 0 {
					log.Info("commands learned from the upstream", zap.Strings("names", names))
				}
			} else if ctx.Err() == nil {
				log.Warn("no commands learned from the upstream", zap.Error(err))
				wait = learnEvery
			}
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// vague are flags of commands that do more than their keys tell.
var vague = []string{"movablekeys", "admin", "pubsub", "blocking", "noscript"}

// certain are the commands whose keys are where the upstream says, and which do nothing but read or write them.
func certain(infos map[string]*redis.CommandInfo) (list []command.Extra) {
	for name, c := range infos {
		if c.FirstKeyPos < 1 || c.StepCount < 1 || slices.ContainsFunc(c.Flags, func(flag string) bool { return slices.Contains(vague, flag) }) {
			continue
		}
		list = append(list, command.Extra{
			Name: name, Arity: int(c.Arity), Writes: !slices.Contains(c.Flags, "readonly"),
			Keys:    command.KeyRange{First: int(c.FirstKeyPos), Last: int(c.LastKeyPos), Step: int(c.StepCount)},
			Learned: true,
		})
	}
	slices.SortFunc(list, func(a, b command.Extra) int { return strings.Compare(a.Name, b.Name) })
	return list
}
