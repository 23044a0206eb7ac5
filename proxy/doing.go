package proxy

// What a session is at, for those who have to know whether it has something under way.
const (
	listening int32 = iota // it waits for the client
	between                // so it does, and the client has begun upstream what only it can end
	held                   // a pause keeps its commands back
	working                // it has commands at hand, or on their way
)

// heed notes that the client is to speak next, and that it was heard until now, as Redis does: who has waited long for a reply is not idle.
func (s *Session) heed() {
	if now := s.srv.clock.Load(); s.active.Load() != now { // a store costs more than a look
		s.active.Store(now)
	}
	if s.inMidst() {
		s.doing.Store(between)
	} else {
		s.doing.Store(listening)
	}
}

// underWay reports whether there is something that a pause has to wait for.
func (s *Session) underWay() bool {
	now := s.doing.Load()
	return now == between || now == working
}

// listens reports whether it is the client's turn.
func (s *Session) listens() bool {
	now := s.doing.Load()
	return now == listening || now == between
}
