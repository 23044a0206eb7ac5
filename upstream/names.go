package upstream

// NamesNode reports whether a reply reads like the error with which a node of a cluster says that another one is to be asked. A script may
// have written it too: nothing is learned from it. See Pool.Redirect.
func NamesNode(reply []byte) bool {
	r, ok := redirection(reply)
	return ok && r.addr != nil
}
