package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const second = int64(time.Second)

// pacing is a pacer with what it closed.
type pacing struct {
	*Pacer
	mu      sync.Mutex
	closed  []Closing
	members map[string]*Member
}

func newPacing(maxHold time.Duration, names ...string) *pacing {
	p := &pacing{members: map[string]*Member{}}
	p.Pacer = NewPacer(PacerConfig{Step: 10 * time.Second, MaxHold: maxHold, Close: func(_ context.Context, c Closing) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.closed = append(p.closed, c)
		return nil
	}})
	for _, name := range names {
		p.members[name] = p.Join(name, func(context.Context, int64) error { return nil })
	}
	return p
}

// ends are the ends of the steps that were closed, in seconds.
func (p *pacing) ends() (list []int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.closed {
		list = append(list, c.End/second)
	}
	return list
}

// pass takes a record through a partition in a goroutine of its own; done tells
// the error.
func (p *pacing) pass(name string, at int64) (done chan error) {
	done = make(chan error, 1)
	m := p.members[name]
	go func() {
		err := m.Enter(context.Background())
		if err == nil {
			_, err = m.Pass(context.Background(), at*second, func(int64) {})
		}
		m.Exit()
		done <- err
	}()
	return done
}

func finished(done chan error) bool { return len(done) > 0 }

// TestNobodyGoesAhead: a record waits for every partition that may have older
// ones, those that nothing is known of yet included.
func TestNobodyGoesAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacing(time.Hour, "a", "b", "c")
		defer p.Stop()
		first := p.pass("a", 1005)
		synctest.Wait()
		if finished(first) {
			t.Fatal("a record is judged though nothing is known of b and c")
		}
		b := p.pass("b", 1001)
		synctest.Wait()
		if finished(b) {
			t.Fatal("a record is judged though nothing is known of c")
		}
		p.members["c"].CaughtUp(p.members["c"].Asked())
		synctest.Wait()
		if !finished(first) || !finished(b) {
			t.Fatal("all are in the same step and one waits")
		}
		ahead := p.pass("a", 1031)
		synctest.Wait()
		p.members["c"].CaughtUp(1010 * second) // Asked before anybody was at 1030.
		synctest.Wait()
		if finished(ahead) || len(p.ends()) != 0 {
			t.Fatalf("a is ahead of b and c, and %v are closed", p.ends())
		}
		p.members["c"].CaughtUp(p.members["c"].Asked())
		behind := p.pass("b", 1012)
		synctest.Wait()
		if !finished(behind) || finished(ahead) || !slices.Equal(p.ends(), []int64{1010}) {
			t.Fatalf("closed %v, want the step before that of b", p.ends())
		}
		p.members["b"].CaughtUp(p.members["b"].Asked())
		synctest.Wait()
		if !finished(ahead) || !slices.Equal(p.ends(), []int64{1010, 1020, 1030}) {
			t.Errorf("closed %v", p.ends())
		}
	})
}

// TestPartitionThatStandsStill is left out after a while, said, and waited for
// again when it is back.
func TestPartitionThatStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacing(2*time.Minute, "a", "b")
		defer p.Stop()
		if a, b := p.pass("a", 1000), p.pass("b", 1000); <-a != nil || <-b != nil {
			t.Fatal("the first records do not pass")
		}
		ahead := p.pass("a", 1055)
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := p.Status(); finished(ahead) || !slices.Equal(s.Holding, []string{"b"}) || len(s.Left) > 0 {
			t.Fatalf("after a minute: %+v", s)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if s := p.Status(); !finished(ahead) || !slices.Equal(s.Left, []string{"b"}) {
			t.Fatalf("after three minutes: %+v", s)
		}
		for _, c := range p.closed {
			if !c.Partial() || !slices.Equal(c.Left, []string{"b"}) {
				t.Errorf("closed %+v without a word about b", c)
			}
		}
		if err := <-p.pass("b", 1057); err != nil {
			t.Fatal(err)
		}
		ahead = p.pass("a", 1065)
		synctest.Wait()
		if s := p.Status(); finished(ahead) || len(s.Left) > 0 || !slices.Equal(s.Holding, []string{"b"}) {
			t.Errorf("b is back: %+v", s)
		}
	})
}

// TestForgedTimeWaitsForTheOthers: a record from the far future does not stop
// partitions that have some of the present.
func TestForgedTimeWaitsForTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacing(time.Hour, "a", "b")
		defer p.Stop()
		if a, b := p.pass("a", 1000), p.pass("b", 1000); <-a != nil || <-b != nil {
			t.Fatal("the first records do not pass")
		}
		forged := p.pass("a", 90_000_000)
		for at := int64(1003); at < 2000; at += 7 {
			if err := <-p.pass("b", at); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if finished(forged) {
			t.Fatal("the forged record is judged before those of the present")
		}
		p.members["b"].CaughtUp(p.members["b"].Asked())
		if err := <-forged; err != nil {
			t.Fatal(err)
		}
		if n := len(p.ends()); n > 400 {
			t.Errorf("%d steps are closed one by one over three years in which nothing came", n)
		}
	})
}

// TestGivingUpAtTheBarrier: a rebalance waits for no other partition.
func TestGivingUpAtTheBarrier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacing(time.Hour, "a", "b")
		defer p.Stop()
		waiting := p.pass("a", 1000)
		synctest.Wait()
		p.members["a"].GiveUp()
		if err := <-waiting; !errors.Is(err, ErrGivenUp) {
			t.Errorf("error %v", err)
		}
		p.members["a"].Leave()
		if err := <-p.pass("b", 1234); err != nil {
			t.Errorf("who is left does not go on: %v", err)
		}
	})
}

// TestTheOneThatOthersWaitForIsTold, so that it gets memory beyond the budget.
func TestTheOneThatOthersWaitForIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacing(time.Hour, "a", "b", "c")
		defer p.Stop()
		told := func() (names []string) {
			for _, name := range []string{"a", "b", "c"} {
				select {
				case <-p.members[name].Holding():
					names = append(names, name)
				default:
				}
			}
			return names
		}
		_ = p.pass("b", 1000)
		synctest.Wait()
		if got := told(); !slices.Equal(got, []string{"a"}) {
			t.Errorf("%v are told, want a: one after the other", got)
		}
		_ = p.pass("a", 1001)
		synctest.Wait()
		if got := told(); !slices.Equal(got, []string{"c"}) {
			t.Errorf("%v are told, want c", got)
		}
		p.members["c"].CaughtUp(p.members["c"].Asked())
		synctest.Wait()
	})
}

// TestLockstepClosesWhatAPacerDoes compares both over gaps of all lengths.
func TestLockstepClosesWhatAPacerDoes(t *testing.T) {
	times := []int64{1000, 1003, 1019, 1500, 1501, 9000, 9011, 9400, 20_000, 20_001, 20_030, 200_000}
	var want []string
	l := NewLockstep(10*time.Second, func(end int64) { want = append(want, fmt.Sprint(end/second)) }, func(*Shard) {})
	for _, at := range times {
		l.Reach(at * second)
	}
	synctest.Test(t, func(t *testing.T) {
		p := newPacing(time.Hour, "a", "b")
		defer p.Stop()
		last := [2]chan error{}
		for i, at := range times {
			if last[i%2] != nil {
				<-last[i%2]
			}
			last[i%2] = p.pass([]string{"a", "b"}[i%2], at)
			synctest.Wait()
		}
		for _, name := range []string{"a", "b"} {
			p.members[name].CaughtUp(p.members[name].Asked())
		}
		synctest.Wait()
		var got []string
		for _, end := range p.ends() {
			got = append(got, fmt.Sprint(end))
		}
		if !slices.Equal(got, want) {
			t.Errorf("the pacer closed %v, a lockstep %v", got, want)
		}
	})
}
