// What Porcupine says of one file of its kv format, how long its check took and the most memory that the process held:
// `ok 0.0123 0.0240 17` (verdict, seconds, seconds of the processors, MiB). Built by benches/kv.rs against a checkout.
package main

import (
	"bufio"
	"fmt"
	"hash/fnv"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/anishathalye/porcupine"
)

type call struct {
	function, key, value string
}

// One key of a store of texts, initially empty; keys are independent.
var kv = porcupine.Model{
	PartitionEvent: func(history []porcupine.Event) [][]porcupine.Event {
		keys := map[string]int{}
		keyOf := map[int]int{}
		var parts [][]porcupine.Event
		for _, event := range history {
			if event.Kind == porcupine.CallEvent {
				key := event.Value.(call).key
				if _, known := keys[key]; !known {
					keys[key] = len(parts)
					parts = append(parts, nil)
				}
				keyOf[event.Id] = keys[key]
			}
			part := keyOf[event.Id]
			parts[part] = append(parts[part], event)
		}
		return parts
	},
	Init: func() interface{} { return "" },
	Step: func(state, input, output interface{}) (bool, interface{}) {
		call := input.(call)
		switch call.function {
		case "get":
			return output.(string) == state.(string), state
		case "put":
			return true, call.value
		default:
			return true, state.(string) + call.value
		}
	},
	Hash: func(state interface{}) uint64 {
		hash := fnv.New64a()
		hash.Write([]byte(state.(string)))
		return hash.Sum64()
	},
}

var record = regexp.MustCompile(`^\{:process (\d+), :type :(invoke|ok), :f :(get|put|append), :key "(.*?)", :value (?:nil|"(.*)")\}$`)

func read(path string) []porcupine.Event {
	file, err := os.Open(path)
	fail(err)
	defer file.Close()
	var events []porcupine.Event
	open := map[int]int{}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		part := record.FindStringSubmatch(lines.Text())
		if part == nil {
			fail(fmt.Errorf("%s: not understood: %s", path, lines.Text()))
		}
		process, err := strconv.Atoi(part[1])
		fail(err)
		if part[2] == "invoke" {
			open[process] = len(events)
			input := call{part[3], part[4], part[5]}
			events = append(events, porcupine.Event{ClientId: process, Kind: porcupine.CallEvent, Value: input, Id: len(events)})
		} else {
			events = append(events, porcupine.Event{ClientId: process, Kind: porcupine.ReturnEvent, Value: part[5], Id: open[process]})
			delete(open, process)
		}
	}
	fail(lines.Err())
	if len(open) > 0 {
		fail(fmt.Errorf("%s: %d calls without a reply", path, len(open)))
	}
	return events
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func worked() float64 {
	var usage syscall.Rusage
	fail(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

func peakMiB() float64 {
	status, err := os.ReadFile("/proc/self/status")
	fail(err)
	for _, line := range strings.Split(string(status), "\n") {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmHWM:" {
			kib, err := strconv.ParseFloat(fields[1], 64)
			fail(err)
			return kib / 1024
		}
	}
	return 0
}

func main() {
	limit, err := time.ParseDuration(os.Args[2])
	fail(err)
	events := read(os.Args[1])
	before, start := worked(), time.Now()
	result := porcupine.CheckEventsTimeout(kv, events, limit)
	took, cpu := time.Since(start), worked()-before
	verdict := map[porcupine.CheckResult]string{porcupine.Ok: "Valid", porcupine.Illegal: "Invalid", porcupine.Unknown: "Unknown"}
	fmt.Printf("%s %.6f %.6f %.1f\n", verdict[result], took.Seconds(), cpu, peakMiB())
}
