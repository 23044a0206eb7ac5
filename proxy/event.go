package proxy

// Event is something that an audit log wants to know of.
type Event struct {
	Kind    string // one of those below
	Tenant  string
	User    string
	Rule    string
	Reason  string // of a refusal, its kind
	Text    string
	Command string
	Client  ClientRef
}

// The kinds of Events.
const (
	EventRefusal     = "refusal"
	EventLogin       = "login"
	EventLoginFailed = "login_failed"
)

// tell hands an Event to whoever wants it.
func (s *Server) tell(e Event) {
	if s.cfg.Audit != nil {
		s.cfg.Audit(e)
	}
}
