// Drives the scenarios with the Go SDK: sdks BRIEF.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
)

type scenario struct {
	Name  string
	Steps []step
}

type brief struct {
	Way            string
	Connection     string
	Administration string
	Host           string
	Port           int
	Ca             string
	SideBySide     []scenario
	Alone          []scenario
}

var output sync.Mutex
var answers = bufio.NewReader(os.Stdin)

func say(line any) {
	text, _ := json.Marshal(line)
	output.Lock()
	defer output.Unlock()
	fmt.Println(string(text))
}

func restart() error {
	say(map[string]bool{"restart": true})
	_, err := answers.ReadString('\n')
	return err
}

func judge(how brief, of scenario) {
	var why any
	done := []string{}
	run, err := newRunner(how)
	for n := 0; err == nil && n < len(of.Steps); n++ {
		if err = run.run(of.Steps[n]); err == nil {
			done = append(done, of.Steps[n].Do)
		}
	}
	if err != nil {
		why = strings.Join(done, ", ") + ", then: " + err.Error()
	}
	if run != nil {
		run.close()
	}
	say(map[string]any{"name": of.Name, "why": why})
}

func main() {
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	var how brief
	if err := json.Unmarshal(text, &how); err != nil {
		panic(err)
	}
	var all sync.WaitGroup
	for _, each := range how.SideBySide {
		all.Add(1)
		go func() {
			defer all.Done()
			judge(how, each)
		}()
	}
	all.Wait()
	for _, each := range how.Alone {
		judge(how, each)
	}
}
