package proxy

import "sessiongate/command"

// Libraries end subscriptions one by one and don't await what that is answered with: a round trip for each would hold up what they
// subscribe to next, while what they send over another connection gets ahead.

// mostTogether is how many subscription commands travel together.
const mostTogether = 1024

// together puts into the batch, behind a subscription command, those that have arrived with it, and returns all of them. Each is about one
// channel, so that each has one reply, an error or not.
func (s *Session) together(c cmd) []cmd {
	all := []cmd{c}
	if !isOfOne(c.spec, c.args) || s.tenant.Rate.Commands > 0 { // which is for decide to see to
		return all
	}
	for len(all) < mostTogether && !s.slots[len(s.slots)-1].text {
		fits := false
		s.in.peek(func(args [][]byte) bool {
			fits = isOfOne(command.Lookup(args), args)
			return false
		})
		if !fits {
			break
		}
		args, raw, _ := s.in.next()
		next := cmd{spec: command.Lookup(args), args: args, raw: raw, more: true}
		s.srv.Counts.Commands.Add(1)
		s.place(next) // or a refusal
		if sl := &s.slots[len(s.slots)-1]; !sl.text {
			sl.many = 1
		}
		all = append(all, next)
	}
	return all
}

// isOfOne reports whether the command is about one channel or pattern, and has one reply whatever happens.
func isOfOne(spec *command.Spec, args [][]byte) bool {
	return spec != nil && spec.State == command.Subscribe && len(args) == 2 && subscriptions[spec.Name].set != shardSet
}
