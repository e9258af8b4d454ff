//go:build unix

package command

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shirecounty/shire/jobs"
)

// How commands end, and what people read of it.
func TestEnds(t *testing.T) {
	folder := t.TempDir()
	plain := filepath.Join(folder, "plain.sh")
	if err := os.WriteFile(plain, []byte("echo hello\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name      string
		run       []any
		more      map[string]any
		want      string // in the error; empty for none
		permanent bool
	}{
		{"well", []any{"true"}, nil, "", false},
		{"with a status", []any{"sh", "-c", "exit 3"}, nil, "the command sh ended with exit status 3; its output says why", false},
		{"not found by the shell", []any{"sh", "-c", "exec nosuchprogram"}, nil, "127, which a shell gives when a program is not found", false},
		{"by a signal in the shell", []any{"sh", "-c", `sh -c 'kill -SEGV $$'; exit $?`}, nil, "139, which a shell gives when a program was ended by SIGSEGV", false},
		{"by a signal", []any{"sh", "-c", "kill -ABRT $$"}, nil, "was ended by SIGABRT: the program has a defect", false},
		{"killed", []any{"sh", "-c", "kill -KILL $$"}, nil, "was ended by SIGKILL: somebody killed it", false},
		{"too large a file", []any{"sh", "-c", "trap - XFSZ; exec head -c 100000 /dev/zero > big"}, map[string]any{"file_max": "64KiB", "folder": folder}, "file_max (64 KiB)", false},
		{"not there", []any{"nosuchprogram"}, nil, "the command nosuchprogram cannot be started: there is no program nosuchprogram in PATH (", true},
		{"no such path", []any{"/nosuch/program"}, nil, "/nosuch/program does not exist", true},
		{"not executable", []any{plain}, nil, "is not executable (chmod +x makes it so)", true},
		{"a folder", []any{folder}, nil, "is a folder", true},
		{"no interpreter", []any{script(t, "#!/nosuch/interpreter\n")}, nil, "the interpreter in its first line does not exist", true},
		{"no program at all", []any{script(t, "\x01\x02\x03")}, nil, "neither a program of this machine nor a script", true},
		{"no folder", []any{"true"}, map[string]any{"folder": folder + "/absent"}, "its folder " + folder + "/absent does not exist", true},
		{"a file as folder", []any{"true"}, map[string]any{"folder": plain}, "is a file", true},
		{"too long", []any{"true", strings.Repeat("x", 3<<20)}, nil, "longer than the system takes", true},
		{"secret absent", []any{"true"}, map[string]any{"secrets": map[string]any{"KEY": "file:/nosuch/secret"}}, "secrets.KEY cannot be read: no such file or directory; check the path", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := map[string]any{"run": test.run}
			maps.Copy(m, test.more)
			s := settings(t, "/", "", m)
			_, _, err := do(t, t.Context(), s, nil)
			switch {
			case test.want == "" && err != nil, test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v\nwant %s", err, test.want)
			case errors.Is(err, jobs.ErrPermanent) != test.permanent:
				t.Errorf("%v: permanent is %v, want %v", err, !test.permanent, test.permanent)
			}
			// What shire check can know it says before.
			found := s.Check("do.command").Error()
			if before := test.permanent && !strings.Contains(test.name, "interpreter") && test.name != "no program at all" && test.name != "too long"; (found != "") != before {
				t.Errorf("check says %q", found)
			}
		})
	}
}

func TestEnvironmentIsClean(t *testing.T) {
	t.Setenv("SHIRE_COMMAND_LEAK", "a password of shire's own")
	t.Setenv("LANG", "zh_CN.UTF-8")
	t.Setenv("CIVIL_PASSWORD", "hunter2-secret")
	s := settings(t, "/", "env -0 | sort -z | tr '\\0' '\\n'; pwd; cat; ls -A $HOME; readlink /proc/self/fd/0; ls /proc/self/fd | wc -l", map[string]any{
		"folder": "/usr", "environment": map[string]any{"PGHOST": "db of {{district}}", "PORT": 5432}, "secrets": map[string]any{"PGPASSWORD": "hunter2-secret"},
	})
	_, out, err := do(t, t.Context(), s, map[string]string{"district": "南 $(touch /tmp/x) {{from}}"})
	if err != nil {
		t.Fatal(err)
	}
	out = regexp.MustCompile(`/\S*shire-job-\d+`).ReplaceAllString(out, "SCRATCH")
	out = regexp.MustCompile(`(?m)^(MARK|PATH)=.+$`).ReplaceAllString(out, "$1=...")
	want := []string{
		"HOME=SCRATCH", "LANG=zh_CN.UTF-8", "MARK=...", "PATH=...", "PGHOST=db of 南 $(touch /tmp/x) {{from}}", "PGPASSWORD=(secret)", "PORT=5432", "PWD=/usr",
		"SHIRE_ATTEMPT=1", "SHIRE_DUE=2026-11-24T02:30:00+08:00", "SHIRE_FROM=2026-11-23T02:30:00+08:00", "SHIRE_JOB=export", "SHIRE_PARAM_DISTRICT=南 $(touch /tmp/x) {{from}}",
		"SHIRE_RUN=export@2026-11-24T02:30:00+08:00", "SHIRE_SCRATCH=SCRATCH", "SHIRE_TO=2026-11-24T02:30:00+08:00", "TMPDIR=SCRATCH", "TZ=Asia/Shanghai",
		"/usr", "/dev/null", "4", // standard input is empty; ls has opened the fourth
	}
	if got := strings.Split(strings.TrimSpace(out), "\n"); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// An argument is one argument, whatever is in it.
func TestArgumentsStayWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[^\x00]{0,20}`)
		piece := rapid.OneOf(text, rapid.SampledFrom([]string{"{{from}}", "{{ district }}", "{{", "}}", " ", "'", "$(x)", "\n"}))
		run := []any{"program"}
		want := []string{"program"}
		district := text.Draw(t, "district")
		for _, pieces := range rapid.SliceOfN(rapid.SliceOfN(piece, 0, 4), 0, 10).Draw(t, "arguments") {
			word := strings.Join(pieces, "")
			if slices.ContainsFunc(names(word), func(n string) bool { return n != "from" && n != "district" }) {
				continue // two pieces have made the name of another parameter
			}
			run = append(run, word)
			want = append(want, strings.NewReplacer("{{from}}", "2026-11-23T02:30:00+08:00", "{{ district }}", district).Replace(word))
		}
		s, problems := Read("", run, []string{"district"}, func(p string) string { return p })
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		o, _, _ := New(s, "").order(task(map[string]string{"district": district}), "/scratch")
		if !slices.Equal(o.Args, want) {
			t.Fatalf("got %q\nwant %q", o.Args, want)
		}
	})
	folder := t.TempDir()
	hard := []string{"", " ", "a b", "'", `"`, "$(touch x)", "`id`", "*", "\n", "\xff\xfe", "-n", "{{district}}", "南;区"}
	run := []any{"sh", "-c", `for a; do printf '%s\0' "$a"; done > args`, "sh"}
	for _, h := range hard {
		run = append(run, h)
	}
	if _, _, err := do(t, t.Context(), settings(t, "/", "", map[string]any{"run": run, "folder": folder}), map[string]string{"district": "{{from}} \xff"}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(folder, "args"))
	if want := strings.Replace(strings.Join(hard, "\x00"), "{{district}}", "{{from}} \xff", 1) + "\x00"; err != nil || string(got) != want {
		t.Errorf("got %q\nwant %q\n%v", got, want, err)
	}
}

func TestRunWithoutInterval(t *testing.T) {
	s := settings(t, "/", "env", map[string]any{"environment": map[string]any{"SINCE": "{{from}}"}})
	none := task(nil)
	none.From, none.To = time.Time{}, time.Time{}
	_, err := New(s, t.TempDir()).Do(t.Context(), none, new(strings.Builder))
	if !errors.Is(err, jobs.ErrPermanent) || !strings.Contains(err.Error(), "environment.SINCE of the command sh cannot be filled in: the run has nothing for {{from}}") {
		t.Errorf("got %v", err)
	}
	_, err = New(settings(t, "/", "true"), t.TempDir()).Do(t.Context(), task(map[string]string{"district": "a\x00b"}), new(strings.Builder))
	if !errors.Is(err, jobs.ErrPermanent) || !strings.Contains(err.Error(), "district holds a zero byte") {
		t.Errorf("got %v", err)
	}
}

// The end of the run ends the command, with a word or by force.
func TestStop(t *testing.T) {
	tests := []struct{ name, script, want, output string }{
		{"heeded", `trap "echo going; exit 0" TERM; echo ready; while :; do :; done`, "and was stopped", "ready\ngoing\n"},
		{"not heeded", `trap '' TERM; echo ready; while :; do sleep 0.02; done`, "did not end within 100ms of SIGTERM and was killed", "ready\n"},
		{"asleep", `echo ready; kill -STOP $$`, "and was stopped", "ready\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := settings(t, "/", test.script, map[string]any{"grace": "100ms"})
			s.Environment["MARK"] = "mark-" + t.Name()
			if test.name == "heeded" {
				s.Grace = time.Minute
			}
			why := errors.New("somebody cancelled the run")
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			out := &signalling{on: "ready\n", do: func() { cancel(why) }}
			_, err := New(s, t.TempDir()).Do(ctx, task(nil), out)
			if !errors.Is(err, why) || !strings.Contains(err.Error(), test.want) || out.text.String() != test.output {
				t.Errorf("got %v and %q\nwant %s and %q", err, out.text.String(), test.want, test.output)
			}
			if left := marked("mark-" + t.Name()); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
	t.Run("timeout", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		_, _, err := do(t, ctx, settings(t, "/", "sleep 1000"), nil)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "the command sh took longer than it may and was stopped") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := do(t, ctx, settings(t, "/", "touch /tmp/never"), nil); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "was not started") {
			t.Errorf("got %v", err)
		}
	})
}

// signalling is an output that does something when a line comes.
type signalling struct {
	text strings.Builder
	on   string
	do   func()
}

func (s *signalling) Write(p []byte) (int, error) {
	if string(p) == s.on {
		s.do()
	}
	return s.text.Write(p)
}

// A scratch folder is removed whatever the command made of it.
func TestScratchIsRemoved(t *testing.T) {
	_, _, err := do(t, t.Context(), settings(t, "/", `mkdir -p $HOME/a/b; touch $HOME/a/b/c; chmod 000 $HOME/a/b; chmod 500 $HOME/a`), nil)
	if err != nil {
		t.Error(err)
	}
}
