package upstream

import "time"

// ReadTimeout is how long a reply may take. Zero means no limit.
func (p *Pool) ReadTimeout() time.Duration { return p.opt.ReadTimeout }
