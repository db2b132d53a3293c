package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

// One step of a scenario; which fields it has depends on what it does.
type step struct {
	Do       string
	To       string
	From     string
	Of       string
	Sub      string
	ID       *string
	Is       string
	Batch    bool
	Messages []sent
	Message  sent
	Bytes    int
	AfterMs  int
	Ms       int
	Settles  bool
	Count    int
	Deletes  bool
	Settle   string
	Changes  object
	Keep     string
	Kept     string
	Start    string
	Since    string
	State    *string
	Reason   string
	What     string
	Name     string
	With     asked
	Expect   []any
	Step     *step
	Steps    []step
}

// What receivers with and without sessions can both do.
type receiver interface {
	ReceiveMessages(context.Context, int, *azservicebus.ReceiveMessagesOptions) ([]*azservicebus.ReceivedMessage, error)
	ReceiveDeferredMessages(context.Context, []int64, *azservicebus.ReceiveDeferredMessagesOptions) ([]*azservicebus.ReceivedMessage, error)
	PeekMessages(context.Context, int, *azservicebus.PeekMessagesOptions) ([]*azservicebus.ReceivedMessage, error)
	CompleteMessage(context.Context, *azservicebus.ReceivedMessage, *azservicebus.CompleteMessageOptions) error
	AbandonMessage(context.Context, *azservicebus.ReceivedMessage, *azservicebus.AbandonMessageOptions) error
	DeferMessage(context.Context, *azservicebus.ReceivedMessage, *azservicebus.DeferMessageOptions) error
	DeadLetterMessage(context.Context, *azservicebus.ReceivedMessage, *azservicebus.DeadLetterOptions) error
	Close(context.Context) error
}

type runner struct {
	how    brief
	client *azservicebus.Client
	kept   map[string][]int64
	marks  map[string]time.Time
}

func newRunner(how brief) (*runner, error) {
	client, err := newClient(how)
	return &runner{how, client, map[string][]int64{}, map[string]time.Time{}}, err
}

func (r *runner) close() {
	if r.client != nil {
		r.client.Close(soon())
	}
}

// What is expected of messages; of sessions it is their names.
func (of step) seen() []object {
	all := []object{}
	for _, each := range of.Expect {
		if one, ok := each.(object); ok {
			all = append(all, one)
		}
	}
	return all
}

func (r *runner) run(of step) error {
	switch of.Do {
	case "administer":
		return administer(r.how, of)
	case "send", "large", "fill", "schedule", "cancel":
		return r.send(of)
	case "wait":
		time.Sleep(time.Duration(of.Ms) * time.Millisecond)
		return nil
	case "session":
		return r.session(of)
	case "sessions":
		return r.sessions(of)
	case "mark":
		time.Sleep(5 * time.Millisecond)
		r.marks[of.Keep] = time.Now()
		return nil
	case "error":
		return r.fails(of)
	case "restart":
		r.close()
		if err := restart(); err != nil {
			return err
		}
		var err error
		r.client, err = newClient(r.how)
		return err
	}
	from, err := r.open(of)
	if err != nil {
		return err
	}
	defer from.Close(soon())
	if of.Do == "renewed" {
		messages, err := received(from, 1)
		if err != nil {
			return err
		}
		if err := from.RenewMessageLock(soon(), messages[0], nil); err != nil {
			return err
		}
		return from.CompleteMessage(soon(), messages[0], nil)
	}
	return r.look(from, of)
}

func (r *runner) open(of step) (*azservicebus.Receiver, error) {
	options := &azservicebus.ReceiverOptions{}
	if of.Deletes {
		options.ReceiveMode = azservicebus.ReceiveModeReceiveAndDelete
	}
	switch of.Sub {
	case "dead":
		options.SubQueue = azservicebus.SubQueueDeadLetter
	case "transfer":
		options.SubQueue = azservicebus.SubQueueTransfer
	}
	if topic, subscription, is := strings.Cut(of.From, "/"); is {
		return r.client.NewReceiverForSubscription(topic, subscription, options)
	}
	return r.client.NewReceiverForQueue(of.From, options)
}

func (r *runner) send(of step) error {
	to, err := r.client.NewSender(of.To, nil)
	if err != nil {
		return err
	}
	defer to.Close(soon())
	switch {
	case of.Do == "large":
		body := []byte(strings.Repeat("x", of.Bytes))
		return to.SendMessage(soon(), &azservicebus.Message{Body: body}, nil)
	case of.Do == "fill":
		batch, err := to.NewMessageBatch(soon(), nil)
		for err == nil {
			err = batch.AddMessage(&azservicebus.Message{Body: make([]byte, of.Bytes)}, nil)
		}
		if !errors.Is(err, azservicebus.ErrMessageTooLarge) {
			return err
		}
		return to.SendMessageBatch(soon(), batch, nil)
	case of.Do == "schedule":
		at := time.Now().Add(time.Duration(of.AfterMs) * time.Millisecond)
		numbers, err := to.ScheduleMessages(soon(), []*azservicebus.Message{made(of.Message)}, at, nil)
		r.kept[of.Keep] = numbers
		return err
	case of.Do == "cancel":
		return to.CancelScheduledMessages(soon(), r.kept[of.Kept], nil)
	case of.Batch:
		batch, err := to.NewMessageBatch(soon(), nil)
		if err != nil {
			return err
		}
		for _, each := range of.Messages {
			if err := batch.AddMessage(made(each), nil); err != nil {
				return err
			}
		}
		return to.SendMessageBatch(soon(), batch, nil)
	}
	for _, each := range of.Messages {
		var err error
		if other := annotated(each); other != nil {
			err = to.SendAMQPAnnotatedMessage(soon(), other, nil)
		} else {
			err = to.SendMessage(soon(), made(each), nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func received(from receiver, count int) ([]*azservicebus.ReceivedMessage, error) {
	messages := []*azservicebus.ReceivedMessage{}
	for len(messages) < count {
		some, err := from.ReceiveMessages(soon(), count-len(messages), nil)
		if err != nil {
			return nil, fmt.Errorf("waited in vain for message %d: %w", len(messages)+1, err)
		}
		messages = append(messages, some...)
	}
	return messages, nil
}

func (r *runner) take(from receiver, of step) error {
	messages, err := received(from, of.Count)
	if err != nil {
		return err
	}
	if err := check(messages, of.seen()); err != nil {
		return err
	}
	for _, message := range messages {
		if of.Keep != "" {
			r.kept[of.Keep] = append(r.kept[of.Keep], *message.SequenceNumber)
		}
		if of.Deletes {
			continue
		}
		if err := settle(from, message, of); err != nil {
			return err
		}
	}
	return nil
}

func settle(from receiver, message *azservicebus.ReceivedMessage, of step) error {
	changes := plainOf(of.Changes)
	switch of.Settle {
	case "abandon":
		options := &azservicebus.AbandonMessageOptions{PropertiesToModify: changes}
		return from.AbandonMessage(soon(), message, options)
	case "defer":
		options := &azservicebus.DeferMessageOptions{PropertiesToModify: changes}
		return from.DeferMessage(soon(), message, options)
	case "dead":
		reason, description := "because", "of this"
		options := &azservicebus.DeadLetterOptions{Reason: &reason, ErrorDescription: &description}
		return from.DeadLetterMessage(soon(), message, options)
	}
	return from.CompleteMessage(soon(), message, nil)
}

// What is done with a receiver, of a session or not.
func (r *runner) look(from receiver, of step) error {
	switch of.Do {
	case "receive":
		return r.take(from, of)
	case "deferred":
		messages, err := from.ReceiveDeferredMessages(soon(), r.kept[of.Kept], nil)
		if err != nil {
			return err
		}
		if err := check(messages, of.seen()); err != nil {
			return err
		}
		for _, message := range messages {
			if err := from.CompleteMessage(soon(), message, nil); err != nil {
				return err
			}
		}
		return nil
	case "peek":
		options := &azservicebus.PeekMessagesOptions{}
		if of.Start != "" {
			options.FromSequenceNumber = &r.kept[of.Start][0]
		}
		messages, err := from.PeekMessages(soon(), of.Count, options)
		if err != nil {
			return err
		}
		if len(messages) != len(of.Expect) {
			return fmt.Errorf("%d messages, not %d", len(messages), len(of.Expect))
		}
		return check(messages, of.seen())
	case "outlast":
		messages, err := received(from, 1)
		if err != nil {
			return err
		}
		time.Sleep(time.Until(*messages[0].LockedUntil) + 1500*time.Millisecond)
		return from.CompleteMessage(soon(), messages[0], nil)
	case "empty":
		messages, err := from.ReceiveMessages(within(emptiness), 1, nil)
		over := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
		if len(messages) > 0 || (err != nil && !over) {
			return fmt.Errorf("%d messages, %w", len(messages), err)
		}
		return nil
	}
	return fmt.Errorf("unknown step %s", of.Do)
}

func (r *runner) session(of step) error {
	var held *azservicebus.SessionReceiver
	var err error
	if of.ID != nil {
		held, err = r.client.AcceptSessionForQueue(soon(), of.From, *of.ID, nil)
	} else {
		held, err = r.client.AcceptNextSessionForQueue(soon(), of.From, nil)
	}
	if err != nil {
		return err
	}
	defer held.Close(soon())
	for _, each := range of.Steps {
		if each.From != "" || each.To != "" || each.Step != nil {
			err = r.run(each)
		} else {
			err = r.inSession(held, each)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *runner) inSession(held *azservicebus.SessionReceiver, of step) error {
	switch of.Do {
	case "set":
		var state []byte
		if of.State != nil {
			state = []byte(*of.State)
		}
		return held.SetSessionState(soon(), state, nil)
	case "get":
		state, err := held.GetSessionState(soon(), nil)
		wanted := ""
		if of.State != nil {
			wanted = *of.State
		}
		if err == nil && string(state) != wanted {
			err = fmt.Errorf("state: %s, not %s", state, wanted)
		}
		return err
	case "renew":
		return held.RenewSessionLock(soon(), nil)
	case "id":
		if held.SessionID() != of.Is {
			return fmt.Errorf("id: %s", held.SessionID())
		}
		return nil
	case "outlast":
		if of.Settles {
			return r.look(held, of)
		}
		time.Sleep(time.Until(held.LockedUntil()) + 1500*time.Millisecond)
		_, err := held.GetSessionState(soon(), nil)
		return err
	}
	return r.look(held, of)
}

func (r *runner) sessions(of step) error {
	options := &azservicebus.ListSessionsOptions{}
	if of.Since != "" {
		after := r.marks[of.Since]
		options.SessionStateUpdatedAfter = &after
	}
	all := []string{}
	for pages := r.client.NewListSessionsForQueuePager(of.Of, options); pages.More(); {
		page, err := pages.NextPage(soon())
		if err != nil {
			return err
		}
		all = append(all, page.Sessions...)
	}
	slices.Sort(all)
	if fmt.Sprint(all) != fmt.Sprint(of.Expect) {
		return fmt.Errorf("%v, not %v", all, of.Expect)
	}
	return nil
}
