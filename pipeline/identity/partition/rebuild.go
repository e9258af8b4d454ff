package partition

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shirecounty/shire/pipeline/identity/match"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// rebuild makes the state anew under a model: all records as they stand before the change are compared again, and the
// parties go on as what became of them. Like everything else it is decided, and counts from Keep on.
func (p *Partition) rebuild(ctx context.Context, m *match.Model, c *Change) error {
	began := time.Now()
	old := p.work
	fresh, err := openState(p.dir, following(old.state.name), p.opt)
	if err != nil {
		return err
	}
	w := p.begin(fresh, p.empty())
	w.use(m)
	w.verdicts, w.ownVerdicts, w.links = old.verdicts, old.ownVerdicts, old.links
	if err = w.take(ctx, old); err == nil {
		err = w.settleAll(ctx, c)
	}
	if err != nil {
		w.view.Release()
		fresh.discard()
		return err
	}
	old.view.Release()
	if old.state != p.state {
		if err := old.state.discard(); err != nil {
			return err
		}
	}
	p.work = w
	p.stale = false
	p.log.Info("identities were worked out anew", "about", p.opt.About, "model", m.Version(), "links", len(w.links), "seconds", time.Since(began).Seconds())
	return nil
}

// following names the state after one.
func following(name string) string {
	n, _ := strconv.Atoi(strings.TrimPrefix(name, "state-"))
	return "state-" + strconv.Itoa(n+1)
}

// piece is how many records are taken over, or settled, between two commits (I10).
const piece = 50_000

// take takes over everything that another working state knows, and compares it under the model of this one. Records keep
// their numbers and, for now, their parties.
func (w *working) take(ctx context.Context, old *working) error {
	w.homeless = true
	var changes []Change
	var owners []owner
	push := func() error {
		if _, err := w.apply(ctx, changes); err != nil {
			return err
		}
		for i := range changes {
			n := w.node(changes[i].number)
			n.party, n.born = owners[i].id, owners[i].born
			w.batch.Put(membership, w.row.member(n.party, n.number), nil, nil)
			w.move(n)
		}
		changes, owners = changes[:0], owners[:0]
		old.forget()
		return w.commit()
	}
	for _, number := range old.numbers() {
		n := old.node(number)
		said := wordsOf(n.words)
		changes = append(changes, Change{
			number: number, Record: n.id, Version: old.known(n.id).version,
			Dataset: said.dataset, Role: said.role, Values: said.values,
		})
		owners = append(owners, owner{n.party, n.born})
		if len(changes) == piece {
			if err := push(); err != nil {
				return err
			}
		}
	}
	if err := push(); err != nil {
		return err
	}
	w.homeless = false
	w.next = old.next
	return w.inherit(old)
}

// inherit takes over what is not about records that there are: ids of those that are gone, retired parties, verdicts.
func (w *working) inherit(old *working) error {
	var err error
	written := func() bool {
		if w.batch.Len() >= 4*piece {
			err = w.commit()
		}
		return err == nil
	}
	old.view.Scan(ids, nil, func(key, value, _ []byte) bool {
		// A record that was gone when the state was last kept may have come back since.
		if order.Uint32(value) == 0 && old.byID[idOf(key)].number == 0 {
			w.batch.Put(ids, key, value, nil)
		}
		return written()
	})
	old.view.Scan(retired, nil, func(key, value, _ []byte) bool {
		w.batch.Put(retired, key, value, nil)
		return written()
	})
	old.view.Scan(verdicts, nil, func(key, value, said []byte) bool {
		w.batch.Put(verdicts, key, value, said)
		return written()
	})
	if err != nil {
		return err
	}
	for id, k := range old.byID {
		if k.number == 0 && k.version != 0 {
			w.batch.Put(ids, id[:], w.row.known(k), nil)
		}
	}
	for id, successor := range old.successors {
		w.retire(id, successor)
	}
	for id, r := range old.rulings {
		w.batch.Put(verdicts, id[:], r.value(), r.said)
	}
	return w.commit()
}

// settleAll divides all components. Components whose records come from the same parties are settled together, so that it
// is as if all were at once.
func (w *working) settleAll(ctx context.Context, c *Change) error {
	met := make([]bool, w.next)
	settled := 0
	for _, number := range w.numbers() {
		if met[number] {
			continue
		}
		group := w.relatives(number, met)
		w.settle(group, c)
		if settled += len(group); settled >= piece {
			settled = 0
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := w.commit(); err != nil {
				return err
			}
		}
	}
	return w.commit()
}

// relatives are the records that can be reached from one by components and by parties.
func (w *working) relatives(number uint32, met []bool) []*node {
	w.room.mark++
	asked := map[pseudonym.ID]bool{}
	met[number] = true
	group := []*node{w.node(number)}
	add := func(n *node) {
		if !met[n.number] {
			met[n.number] = true
			group = append(group, n)
		}
	}
	for i := 0; i < len(group); i++ {
		n := group[i]
		if n.mark != w.room.mark {
			for _, m := range w.component(n) {
				add(m)
			}
		}
		if asked[n.party] {
			continue
		}
		asked[n.party] = true
		w.view.Prefix(membership, n.party[:], func(key, _, _ []byte) bool {
			add(w.node(order.Uint32(key[16:])))
			return true
		})
	}
	return group
}

// commit puts what was decided so far into a state that does not count yet, and goes on from there.
func (w *working) commit() error {
	w.flush()
	m := meta{Next: w.next, Evidence: EvidenceVersion}
	if err := w.state.Commit(w.batch, 0, m.encode()); err != nil {
		return fmt.Errorf("the state of identities cannot be made anew: %w", err)
	}
	w.end()
	fresh := w.p.begin(w.state, w.p.empty())
	fresh.use(w.model)
	fresh.verdicts, fresh.ownVerdicts, fresh.links, fresh.homeless, fresh.room = w.verdicts, w.ownVerdicts, w.links, w.homeless, w.room
	*w = *fresh
	return nil
}

// numbers lists the records that there are.
func (w *working) numbers() []uint32 {
	var all []uint32
	w.view.Scan(records, nil, func(key, _, _ []byte) bool {
		if n := order.Uint32(key); w.nodes[n] == nil {
			all = append(all, n)
		}
		return true
	})
	for number, n := range w.nodes {
		if !n.gone {
			all = append(all, number)
		}
	}
	slices.Sort(all)
	return all
}

// forget drops the records that can be read from the state again.
func (w *working) forget() {
	for number, n := range w.nodes {
		if !n.dirty {
			delete(w.nodes, number)
		}
	}
}
