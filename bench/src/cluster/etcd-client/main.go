// Load on an etcd cluster by its own Go client. The job comes as JSON on the command line; what happens is told on stdout, a line of
// JSON each. Jobs, events and results are those of generator.mjs, so that both are read alike. Built by go-client.mjs.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/clientv3"
)

type job struct {
	Task       string   `json:"task"`
	Operation  string   `json:"operation"`
	Endpoints  []string `json:"endpoints"`
	Clients    int      `json:"clients"`
	Callers    int      `json:"callers"`
	Keys       int      `json:"keys"`
	ValueBytes int      `json:"valueBytes"`
	WarmupMs   int      `json:"warmupMs"`
	DurationMs int      `json:"durationMs"`
	PerSecond  float64  `json:"perSecond"`
	Indexes    []int    `json:"indexes"`
}

const (
	operationTimeout = 10 * time.Second
	// A request to a leader that has died would wait for seconds: it is given up and sent again.
	gapOperationTimeout = time.Second
	pauseAfterError     = 10 * time.Millisecond
	valuePool           = 64
	attemptsMax         = 100
	tick                = time.Millisecond
	// A tick that comes no later than this is in time; then what it starts is timed from the tick, else from when it was planned.
	tickLate = 2 * time.Millisecond
)

var values [valuePool]string

func keyAt(index int) string { return fmt.Sprintf("bench:%012d", index) }

// Everything that one caller saw; merged at the end, so that callers share nothing while they run.
type record struct {
	answered  int
	misses    int
	latencies []time.Duration
	errors    map[string]int
}

type window struct{ from, to time.Time }

func (w window) holds(t time.Time) bool { return !t.Before(w.from) && t.Before(w.to) }

func (r *record) done(w window, planned, now time.Time, found bool, err error) {
	if err != nil {
		if w.holds(planned) {
			r.errors[err.Error()]++
		}
		return
	}
	if w.holds(now) {
		r.answered++
		if !found {
			r.misses++
		}
	}
	if w.holds(planned) {
		r.latencies = append(r.latencies, now.Sub(planned))
	}
}

func newRecord() *record { return &record{errors: map[string]int{}} }

// Performs one operation; false if there was no such key.
func perform(client *clientv3.Client, operation string, index int, random *rand.Rand, timeout time.Duration) (bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	key := keyAt(index)
	if operation == "put" {
		_, err := client.Put(ctx, key, values[random.Intn(valuePool)])
		return true, err
	}
	var options []clientv3.OpOption
	if operation == "get-stale" {
		options = append(options, clientv3.WithSerializable())
	}
	if operation == "scan" {
		options = append(options, clientv3.WithFromKey(), clientv3.WithLimit(1))
	}
	answer, err := client.Get(ctx, key, options...)
	return err == nil && len(answer.Kvs) == 1, err
}

func emitResult(result map[string]interface{}) {
	announced.Wait()
	emit(map[string]interface{}{"event": "result", "result": result})
}

func emit(event map[string]interface{}) {
	line, _ := json.Marshal(event)
	fmt.Println(string(line))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

var announced sync.WaitGroup

// Says when the measured time begins and ends, so that others can measure in it as well.
func announce(w window) {
	announced.Add(1)
	go func() {
		defer announced.Done()
		time.Sleep(time.Until(w.from))
		emit(map[string]interface{}{"event": "measuring"})
		time.Sleep(time.Until(w.to))
		emit(map[string]interface{}{"event": "measured"})
	}()
}

// With one endpoint a client, clients are spread evenly; with all, each goes on with another when its own is gone.
func connect(j job, all bool) []*clientv3.Client {
	clients := make([]*clientv3.Client, j.Clients)
	for i := range clients {
		endpoints := j.Endpoints
		if !all {
			endpoints = []string{j.Endpoints[i%len(j.Endpoints)]}
		}
		client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, DialTimeout: 10 * time.Second})
		if err != nil {
			fail(err)
		}
		clients[i] = client
	}
	return clients
}

func planned(j job) window {
	from := time.Now().Add(time.Duration(j.WarmupMs) * time.Millisecond)
	return window{from, from.Add(time.Duration(j.DurationMs) * time.Millisecond)}
}

// Writes every key once.
func writeAll(j job) {
	clients := connect(j, false)
	var next int64 = -1
	var group sync.WaitGroup
	for c := 0; c < j.Callers; c++ {
		group.Add(1)
		go func(c int) {
			defer group.Done()
			random := rand.New(rand.NewSource(int64(c)))
			for {
				index := int(atomic.AddInt64(&next, 1))
				if index >= j.Keys {
					return
				}
				for attempt := 1; ; attempt++ {
					_, err := perform(clients[c%len(clients)], "put", index, random, operationTimeout)
					if err == nil {
						break
					}
					if attempt == attemptsMax {
						fail(err)
					}
					time.Sleep(10 * pauseAfterError)
				}
			}
		}(c)
	}
	group.Wait()
	emitResult(map[string]interface{}{"keys": j.Keys})
}

// Callers that each wait for an answer before they ask again.
func closed(j job) []*record {
	clients := connect(j, false)
	w := planned(j)
	announce(w)
	records := make([]*record, j.Callers)
	var group sync.WaitGroup
	for c := range records {
		records[c] = newRecord()
		group.Add(1)
		go func(c int) {
			defer group.Done()
			random := rand.New(rand.NewSource(int64(c)))
			for {
				start := time.Now()
				if !start.Before(w.to) {
					return
				}
				found, err := perform(clients[c%len(clients)], j.Operation, random.Intn(j.Keys), random, operationTimeout)
				records[c].done(w, start, time.Now(), found, err)
				if err != nil {
					time.Sleep(pauseAfterError)
				}
			}
		}(c)
	}
	group.Wait()
	return records
}

// So many operations a second, whether or not earlier ones are answered.
func open(j job) []*record {
	clients := connect(j, false)
	w := planned(j)
	announce(w)
	jobs := make(chan time.Time, 1<<20)
	records := make([]*record, j.Callers)
	var group sync.WaitGroup
	for c := range records {
		records[c] = newRecord()
		group.Add(1)
		go func(c int) {
			defer group.Done()
			random := rand.New(rand.NewSource(int64(c)))
			for start := range jobs {
				found, err := perform(clients[c%len(clients)], j.Operation, random.Intn(j.Keys), random, operationTimeout)
				records[c].done(w, start, time.Now(), found, err)
			}
		}(c)
	}
	ticker := time.NewTicker(tick)
	begin := time.Now()
	last := begin
	for started := 0; ; {
		<-ticker.C
		now := time.Now()
		if !now.Before(w.to) {
			break
		}
		for due := int(now.Sub(begin).Seconds() * j.PerSecond); started < due; started++ {
			start := now
			if now.Sub(last) > tick+tickLate {
				start = begin.Add(time.Duration(float64(started) / j.PerSecond * float64(time.Second)))
			}
			jobs <- start
		}
		last = now
	}
	ticker.Stop()
	close(jobs)
	group.Wait()
	return records
}

// A caller for each key, which writes it again and again: how long was each key without a successful write?
func gaps(j job) {
	clients := connect(j, true)
	w := planned(j)
	announce(w)
	longest := make([]time.Duration, len(j.Indexes))
	writes := make([]int, len(j.Indexes))
	failures := make([]int, len(j.Indexes))
	var group sync.WaitGroup
	for c, index := range j.Indexes {
		group.Add(1)
		go func(c, index int) {
			defer group.Done()
			random := rand.New(rand.NewSource(int64(c)))
			last := w.from
			for {
				now := time.Now()
				if !now.Before(w.to) {
					break
				}
				_, err := perform(clients[c%len(clients)], "put", index, random, gapOperationTimeout)
				if err != nil {
					failures[c]++
					time.Sleep(pauseAfterError)
					continue
				}
				now = time.Now()
				if now.After(last) {
					if gap := now.Sub(last); gap > longest[c] {
						longest[c] = gap
					}
					last = now
					writes[c]++
				}
			}
			if gap := w.to.Sub(last); gap > longest[c] {
				longest[c] = gap
			}
		}(c, index)
	}
	group.Wait()
	sort.Slice(longest, func(a, b int) bool { return longest[a] < longest[b] })
	sum := func(list []int) (total int) {
		for _, n := range list {
			total += n
		}
		return total
	}
	emitResult(map[string]interface{}{
		"longestGapS": longest[len(longest)-1].Seconds(),
		"medianGapS":  longest[len(longest)/2].Seconds(),
		"perSecond":   float64(sum(writes)) / w.to.Sub(w.from).Seconds(),
		"failed":      sum(failures),
	})
}

func summarize(j job, records []*record) {
	var latencies []time.Duration
	answered, misses := 0, 0
	errors := map[string]int{}
	for _, r := range records {
		latencies = append(latencies, r.latencies...)
		answered += r.answered
		misses += r.misses
		for text, count := range r.errors {
			errors[text] += count
		}
	}
	sort.Slice(latencies, func(a, b int) bool { return latencies[a] < latencies[b] })
	at := func(share float64) float64 {
		if len(latencies) == 0 {
			return 0
		}
		return float64(latencies[int(share*float64(len(latencies)-1))]) / float64(time.Millisecond)
	}
	emitResult(map[string]interface{}{
		"count": answered, "perSecond": float64(answered) * 1000 / float64(j.DurationMs), "misses": misses, "errors": errors,
		"p50Ms": at(0.5), "p95Ms": at(0.95), "p99Ms": at(0.99), "maxMs": at(1),
	})
}

func main() {
	var j job
	if err := json.Unmarshal([]byte(os.Args[1]), &j); err != nil {
		fail(err)
	}
	random := rand.New(rand.NewSource(1))
	for i := range values {
		value := make([]byte, j.ValueBytes)
		random.Read(value)
		values[i] = string(value)
	}
	switch j.Task {
	case "write-all":
		writeAll(j)
	case "closed":
		summarize(j, closed(j))
	case "open":
		summarize(j, open(j))
	case "gaps":
		gaps(j)
	default:
		fail(fmt.Errorf("there is no task %q", j.Task))
	}
}
