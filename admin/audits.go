package admin

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"sessiongate/audit"
)

// audits are the last of each tenant. They change nothing.
type audits struct {
	mu       sync.Mutex // a leaf
	byTenant map[string]*auditRun
}

type auditRun struct {
	Tenant  string        `json:"tenant"`
	State   string        `json:"state"`
	Started stamp         `json:"started"`
	Ended   stamp         `json:"ended"`
	Done    float64       `json:"done"`
	Keys    int64         `json:"keys"`
	Error   string        `json:"error"`
	Report  *audit.Report `json:"report"`
}

const (
	auditRate = 1000 // keys a second
	auditTop  = 10   // prefixes
)

func (a *Admin) postAudit(r *http.Request) (any, error) {
	in := struct {
		Tenant string `json:"tenant"`
		Rate   int    `json:"rate"`
	}{Rate: auditRate}
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	if in.Rate < 0 || in.Rate > revocationMost {
		return nil, badRequest("rate: %d is not from 0 to %d", in.Rate, revocationMost)
	}
	t, err := a.tenant(in.Tenant)
	if err != nil {
		return nil, err
	}
	if t.Pool.Sharded() {
		return nil, fail(http.StatusConflict, "conflict", "the upstream of tenant %q is a cluster, of which the report would show one node", t.Name)
	}
	if a.cfg.Proxy.Draining() {
		return nil, errDraining
	}
	run := &auditRun{Tenant: t.Name, State: stateRunning, Started: stamp(time.Now())}
	if !a.audits.begin(run) {
		return nil, fail(http.StatusConflict, "conflict", "an audit of tenant %q is under way", t.Name)
	}
	a.acted(who(r), "audit", zap.String("tenant", t.Name), zap.Int("rate", in.Rate))
	a.wg.Go(func() {
		s := openOwnStore(a.ctx, t)
		defer s.close()
		report, err := audit.Run(a.ctx, s.nodes[0], audit.Config{
			Tenant: t.Name, Upstream: t.Pool.Addr(), DB: t.StartDB(), Namespace: string(t.Policy().Prefix()), Policy: t.Policy(), Rules: t.Policy().RuleNames(),
			Rate: in.Rate, Top: auditTop,
			Progress: func(p audit.Progress) { a.audits.change(func() { run.Done, run.Keys = p.Done, p.Keys }) },
		})
		if err != nil && a.ctx.Err() != nil { // the connection was closed under it
			err = a.ctx.Err()
		}
		a.audits.end(run, report, err)
	})
	return accepted{a.audits.show(run)}, nil
}

// begin makes run the last of its tenant, unless one is under way.
func (as *audits) begin(run *auditRun) bool {
	as.mu.Lock()
	defer as.mu.Unlock()
	if before := as.byTenant[run.Tenant]; before != nil {
		if before.State == stateRunning {
			return false
		}
		run.Report = before.Report // until there is a newer one
	}
	if as.byTenant == nil {
		as.byTenant = map[string]*auditRun{}
	}
	as.byTenant[run.Tenant] = run
	return true
}

func (as *audits) end(run *auditRun, report *audit.Report, err error) {
	as.change(func() {
		run.Ended, run.State = stamp(time.Now()), stateDone
		if report != nil {
			run.Report, run.Keys, run.Done = report, report.Keys, report.Done
		}
		if err != nil {
			run.State, run.Error = stateFailed, err.Error()
		}
		if errors.Is(err, context.Canceled) {
			run.State = stateCancelled
		}
	})
}

func (as *audits) change(f func()) {
	as.mu.Lock()
	defer as.mu.Unlock()
	f()
}

// show is a copy for an answer. Reports never change.
func (as *audits) show(run *auditRun) (v auditRun) {
	as.change(func() { v = *run })
	return v
}

func (as *audits) list() []auditRun {
	list := []auditRun{}
	as.change(func() {
		for _, run := range as.byTenant {
			list = append(list, *run)
		}
	})
	slices.SortFunc(list, func(a, b auditRun) int { return cmp.Compare(a.Tenant, b.Tenant) })
	return list
}

// figure is what the last audit of the tenant has counted, nil if there was none.
func (as *audits) figure(tenant string) (f *auditFigure) {
	as.change(func() {
		if run := as.byTenant[tenant]; run != nil && run.Report != nil {
			f = &auditFigure{run.Ended, run.Report.Keys, run.Report.Bytes}
		}
	})
	return f
}
