package portal

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	orderTimeout   = 20 * time.Second
	mostBecause    = 200 // characters
	mostAtATime    = 100 // runs of a backfill
	mostParameters = 50
	longestValue   = 1000 // bytes of a parameter
)

var (
	backfillOrders = []string{"pause", "resume", "cancel"}
	backfillOnly   = []string{"none", "failed", "completed"}

	parameterName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
)

// ordering is the context of an order: whoever closes the page after giving it has given it.
func ordering(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(r.Context()), orderTimeout)
}

func (d *jobsDesk) trigger(w http.ResponseWriter, r *http.Request, _ string) {
	var t Trigger
	if !readJSON(w, r, &t) {
		return
	}
	j, ok := d.find(w, r, r.PathValue("name"))
	if !ok || !proveParameters(w, j, t.Parameters) {
		return
	}
	ctx, cancel := ordering(r)
	defer cancel()
	run, err := d.o.Orders.Trigger(ctx, j.Name, t.Parameters)
	done(d, w, r, run, err)
}

func (d *jobsDesk) pause(w http.ResponseWriter, r *http.Request, _ string) {
	because, ok := readBecause(w, r)
	if !ok {
		return
	}
	j, ok := d.find(w, r, r.PathValue("name"))
	if !ok {
		return
	}
	if j.Paused != nil {
		refused("The job is paused already.", "这个作业已经暂停。").write(w)
		return
	}
	ctx, cancel := ordering(r)
	defer cancel()
	done[JobRun](d, w, r, nil, d.o.Orders.Pause(ctx, j.Name, because))
}

func (d *jobsDesk) resume(w http.ResponseWriter, r *http.Request, _ string) {
	if _, ok := readBecause(w, r); !ok {
		return
	}
	j, ok := d.find(w, r, r.PathValue("name"))
	if !ok {
		return
	}
	if j.Paused == nil {
		refused("The job is not paused.", "这个作业没有暂停。").write(w)
		return
	}
	ctx, cancel := ordering(r)
	defer cancel()
	done[JobRun](d, w, r, nil, d.o.Orders.Resume(ctx, j.Name))
}

func (d *jobsDesk) cancel(w http.ResponseWriter, r *http.Request, _ string) {
	because, ok := readBecause(w, r)
	if !ok {
		return
	}
	run, ok := d.findRun(w, r)
	if !ok {
		return
	}
	if run.Over() {
		refused("The run is over.", "这次运行已经结束。").write(w)
		return
	}
	ctx, cancel := ordering(r)
	defer cancel()
	done[JobRun](d, w, r, nil, d.o.Orders.Cancel(ctx, run.ID, because))
}

func (d *jobsDesk) retry(w http.ResponseWriter, r *http.Request, _ string) {
	if _, ok := readBecause(w, r); !ok {
		return
	}
	run, ok := d.findRun(w, r)
	if !ok {
		return
	}
	switch {
	case !run.Over():
		refused("The run is not over: wait for it, or cancel it first.", "这次运行尚未结束：请等待，或先取消它。").write(w)
		return
	case run.Outcome == RunOK:
		refused("The run ended well. To run it again, backfill its due time with only: completed.", "这次运行已经成功。如需重跑，请用补跑并选择“仅已成功”。").write(w)
		return
	}
	ctx, cancel := ordering(r)
	defer cancel()
	again, err := d.o.Orders.Retry(ctx, run.ID)
	done(d, w, r, again, err)
}

func (d *jobsDesk) planBackfill(w http.ResponseWriter, r *http.Request, _ string) {
	request, ok := d.readBackfill(w, r)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), orderTimeout)
	defer cancel()
	plan, err := d.o.Backfills.Plan(ctx, request)
	if errors.Is(err, context.DeadlineExceeded) {
		refused("There are too many due times to look at in good time. Choose a shorter stretch.", "应运行的时刻太多，无法及时逐一查看。请缩短时间范围。").write(w)
		return
	}
	if err != nil {
		d.fault(w, r, err)
		return
	}
	plan.From, plan.To, plan.First = request.From, request.To, orEmpty(plan.First)
	replyPrivately(w, plan)
}

func (d *jobsDesk) startBackfill(w http.ResponseWriter, r *http.Request, _ string) {
	request, ok := d.readBackfill(w, r)
	if !ok {
		return
	}
	ctx, cancel := ordering(r)
	defer cancel()
	b, err := d.o.Backfills.Start(ctx, request)
	done(d, w, r, b, err)
}

func (d *jobsDesk) changeBackfill(w http.ResponseWriter, r *http.Request, _ string) {
	if _, ok := readBecause(w, r); !ok {
		return
	}
	do := r.PathValue("do")
	if !slices.Contains(backfillOrders, do) {
		problem(http.StatusNotFound, codeNotFound, "A backfill is paused, resumed or cancelled.").zh("补跑只能暂停、继续或取消。").write(w)
		return
	}
	j, ok := d.find(w, r, r.PathValue("name"))
	if !ok {
		return
	}
	i := slices.IndexFunc(j.Backfills, func(b JobBackfill) bool { return b.ID == r.PathValue("backfill") })
	if i < 0 || j.Backfills[i].Outcome != RunRunning {
		refused("There is no such backfill under way: it has ended, or was cancelled.", "没有正在进行的这一补跑：它已结束或已取消。").write(w)
		return
	}
	ctx, cancel := ordering(r)
	defer cancel()
	done[JobRun](d, w, r, nil, d.o.Backfills.Change(ctx, j.Name, j.Backfills[i].ID, do))
}

// done answers an order; v is nil for one that has nothing to tell. Whatever came of it, the jobs are read anew.
func done[T any](d *jobsDesk, w http.ResponseWriter, r *http.Request, v *T, err error) {
	d.all.forget()
	d.coming.forget()
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		d.p.log.Error("an order to a job was not answered in time", "route", routeOf(r), "error", err)
		problem(http.StatusServiceUnavailable, codeUncertain, "It is not certain yet whether this holds: the ledger of jobs has not answered in time. Look at the job again first.").
			zh("作业台账没有及时应答，尚不确定是否已经生效。请先重新查看这个作业。").write(w)
	case err != nil:
		d.fault(w, r, err)
	case v != nil:
		replyPrivately(w, v)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func refused(en, zh string) *Problem {
	return problem(http.StatusConflict, codeRefusedOrder, en).zh(zh)
}

// readBecause reads why something is to be done; a body is required, the reason is not.
func readBecause(w http.ResponseWriter, r *http.Request) (string, bool) {
	var b Because
	if !readJSON(w, r, &b) {
		return "", false
	}
	reason := strings.TrimSpace(b.Reason)
	if utf8.RuneCountInString(reason) > mostBecause || strings.ContainsFunc(reason, unicode.IsControl) {
		badParameter("The reason is one line of at most " + strconv.Itoa(mostBecause) + " characters.").zh("理由须为一行，最多 " + strconv.Itoa(mostBecause) + " 个字。").write(w)
		return "", false
	}
	return reason, true
}

// proveParameters looks at the parameters that a person gave. What is wrong with one is said without repeating it.
func proveParameters(w http.ResponseWriter, j *Job, given map[string]string) bool {
	known := slices.Sorted(maps.Keys(j.Parameters))
	total := 0
	for name, value := range given {
		total += len(value)
		if !parameterName.MatchString(name) {
			badParameter("A parameter's name has lower-case letters, digits and _, and begins with a letter.").zh("参数名由小写字母、数字和下划线组成，并以字母开头。").write(w)
			return false
		}
		if len(known) > 0 && !slices.Contains(known, name) {
			p := badParameter("The job has no such parameter; it has " + strings.Join(known, ", ") + ".").zh("这个作业没有这一参数，可用的参数：" + strings.Join(known, "、") + "。")
			p.Names = known
			p.write(w)
			return false
		}
		if len(value) > longestValue || strings.ContainsFunc(value, unicode.IsControl) {
			badParameter("The value of a parameter is one line of at most " + strconv.Itoa(longestValue) + " bytes.").zh("参数值须为一行，最多 " + strconv.Itoa(longestValue) + " 字节。").write(w)
			return false
		}
	}
	if len(given) > mostParameters {
		badParameter("There are more than " + strconv.Itoa(mostParameters) + " parameters.").zh("参数超过了 " + strconv.Itoa(mostParameters) + " 个。").write(w)
		return false
	}
	return true
}

// readBackfill reads for which due times a job is to be run.
func (d *jobsDesk) readBackfill(w http.ResponseWriter, r *http.Request) (b BackfillRequest, ok bool) {
	var o BackfillOrder
	if !readJSON(w, r, &o) {
		return b, false
	}
	j, ok := d.find(w, r, r.PathValue("name"))
	if !ok || !proveParameters(w, j, o.Parameters) {
		return b, false
	}
	zone, err := time.LoadLocation(j.TimeZone)
	if err != nil {
		zone = d.p.zone
	}
	b = BackfillRequest{Job: j.Name, Reverse: o.Reverse, Only: o.Only, Most: max(o.Most, 1), Parameters: o.Parameters}
	now := d.p.o.now()
	from, known := readTime(o.From, zone)
	to := now
	if known && o.To != "" {
		to, known = readTime(o.To, zone)
	}
	b.From, b.To = from, to
	switch {
	case j.Schedule == "" && j.Every == "" && len(j.After) == 0:
		refused("The job is not due at any times, so there is nothing to fill. Run it by hand.", "这个作业没有定时，无从补跑。请手动运行。").write(w)
	case !known:
		badParameter("A time is written as 2026-11-01, 2026-11-01T06:00 or with its offset, 2026-11-01T06:00:00+08:00.").
			zh("时间写作 2026-11-01、2026-11-01T06:00，或带时区偏移 2026-11-01T06:00:00+08:00。").write(w)
	case !from.Before(to):
		badParameter("The backfill ends before it begins. Exchange the two times.").zh("补跑的结束时间早于开始时间，请对调。").write(w)
	case to.After(now.Add(time.Second)):
		badParameter("The backfill reaches into the future. End it at the present.").zh("补跑不能到将来，请以现在为止。").write(w)
	case o.Only != "" && !slices.Contains(backfillOnly, o.Only):
		oneOf("only", backfillOnly).write(w)
	case o.Most < 0 || o.Most > mostAtATime:
		badParameter("most is a number from 1 to 100.").zh("most 须为 1 到 100 之间的整数。").write(w)
	case o.Most > 1 && j.Overlap != "allow":
		refused("Runs of this job may not overlap, so a backfill runs one at a time.", "这个作业的运行不允许重叠，补跑只能逐个进行。").write(w)
	default:
		return b, true
	}
	return b, false
}

// readTime reads a time with an offset, or on the clock of a zone.
func readTime(text string, zone *time.Location) (time.Time, bool) {
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t, true
	}
	for _, layout := range []string{time.DateOnly, "2006-01-02T15:04", "2006-01-02T15:04:05"} {
		if t, err := time.ParseInLocation(layout, text, zone); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}
