// Drives the scenarios with the Go SDK: sdks SCENARIOS CONNECTION [CA].
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus/admin"
)

type object = map[string]any

// What receivers with and without sessions can both do.
type receiver interface {
	ReceiveMessages(context.Context, int, *azservicebus.ReceiveMessagesOptions) ([]*azservicebus.ReceivedMessage, error)
	CompleteMessage(context.Context, *azservicebus.ReceivedMessage, *azservicebus.CompleteMessageOptions) error
	AbandonMessage(context.Context, *azservicebus.ReceivedMessage, *azservicebus.AbandonMessageOptions) error
	DeferMessage(context.Context, *azservicebus.ReceivedMessage, *azservicebus.DeferMessageOptions) error
	DeadLetterMessage(context.Context, *azservicebus.ReceivedMessage, *azservicebus.DeadLetterOptions) error
	Close(context.Context) error
}

var client *azservicebus.Client
var administration *admin.Client
var kept = map[string][]int64{}

func within(limit time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	time.AfterFunc(limit, cancel)
	return ctx
}

func soon() context.Context { return within(10 * time.Second) }

func made(of object) *azservicebus.Message {
	text := func(name string) *string {
		if value, ok := of[name].(string); ok {
			return &value
		}
		return nil
	}
	message := &azservicebus.Message{Body: []byte(of["body"].(string)), MessageID: text("id"), SessionID: text("session"), Subject: text("subject")}
	if properties, ok := of["properties"].(object); ok {
		message.ApplicationProperties = properties
	}
	if ms, ok := of["ttlMs"].(float64); ok {
		ttl := time.Duration(ms) * time.Millisecond
		message.TimeToLive = &ttl
	}
	return message
}

func open(from string, deletes, dead bool) (*azservicebus.Receiver, error) {
	options := &azservicebus.ReceiverOptions{}
	if deletes {
		options.ReceiveMode = azservicebus.ReceiveModeReceiveAndDelete
	}
	if dead {
		options.SubQueue = azservicebus.SubQueueDeadLetter
	}
	if topic, subscription, is := strings.Cut(from, "/"); is {
		return client.NewReceiverForSubscription(topic, subscription, options)
	}
	return client.NewReceiverForQueue(from, options)
}

func check(messages []*azservicebus.ReceivedMessage, expected any) error {
	wanted, _ := expected.([]any)
	for n, each := range wanted {
		message := messages[n]
		for name, value := range each.(object) {
			if properties, ok := value.(object); ok {
				for key, one := range properties {
					if fmt.Sprint(message.ApplicationProperties[key]) != fmt.Sprint(one) {
						return fmt.Errorf("%s: %v, not %v", key, message.ApplicationProperties[key], one)
					}
				}
				continue
			}
			text := func(value *string) any {
				if value == nil {
					return nil
				}
				return *value
			}
			// The SDK counts the delivery that is being looked at.
			found := map[string]any{"body": string(message.Body), "id": message.MessageID, "subject": text(message.Subject), "deliveries": message.DeliveryCount - 1, "reason": text(message.DeadLetterReason), "description": text(message.DeadLetterErrorDescription)}
			if fmt.Sprint(found[name]) != fmt.Sprint(value) {
				return fmt.Errorf("%s: %v, not %v", name, found[name], value)
			}
		}
	}
	return nil
}

func settle(of receiver, message *azservicebus.ReceivedMessage, how any) error {
	switch how {
	case "abandon":
		return of.AbandonMessage(soon(), message, nil)
	case "defer":
		return of.DeferMessage(soon(), message, nil)
	case "dead":
		reason, description := "because", "of this"
		return of.DeadLetterMessage(soon(), message, &azservicebus.DeadLetterOptions{Reason: &reason, ErrorDescription: &description})
	default:
		return of.CompleteMessage(soon(), message, nil)
	}
}

func take(of receiver, count int, options object) error {
	messages := []*azservicebus.ReceivedMessage{}
	for len(messages) < count {
		some, err := of.ReceiveMessages(within(5*time.Second), count-len(messages), nil)
		if err != nil {
			return fmt.Errorf("waited in vain for message %d: %w", len(messages)+1, err)
		}
		messages = append(messages, some...)
	}
	if err := check(messages, options["expect"]); err != nil {
		return err
	}
	if name, ok := options["keep"].(string); ok {
		for _, message := range messages {
			kept[name] = append(kept[name], *message.SequenceNumber)
		}
	}
	if options["mode"] == nil {
		for _, message := range messages {
			if err := settle(of, message, options["settle"]); err != nil {
				return err
			}
		}
	}
	return nil
}

func inSession(of *azservicebus.SessionReceiver, steps []any) error {
	for _, each := range steps {
		step := each.([]any)
		var err error
		switch step[0] {
		case "receive":
			err = take(of, int(step[1].(float64)), step[2].(object))
		case "set":
			var state []byte
			if text, ok := step[1].(string); ok {
				state = []byte(text)
			}
			err = of.SetSessionState(soon(), state, nil)
		case "get":
			var state []byte
			state, err = of.GetSessionState(soon(), nil)
			wanted, _ := step[1].(string)
			if err == nil && string(state) != wanted {
				err = fmt.Errorf("state: %s, not %s", state, wanted)
			}
		case "renew":
			err = of.RenewSessionLock(soon(), nil)
		case "id":
			if of.SessionID() != step[1] {
				err = fmt.Errorf("id: %s", of.SessionID())
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func send(name string, step []any) error {
	to, err := client.NewSender(step[1].(string), nil)
	if err != nil {
		return err
	}
	defer to.Close(soon())
	switch name {
	case "send":
		for _, each := range step[2].([]any) {
			if err := to.SendMessage(soon(), made(each.(object)), nil); err != nil {
				return err
			}
		}
		return nil
	case "batch":
		batch, err := to.NewMessageBatch(soon(), nil)
		if err != nil {
			return err
		}
		for _, each := range step[2].([]any) {
			if err := batch.AddMessage(made(each.(object)), nil); err != nil {
				return err
			}
		}
		return to.SendMessageBatch(soon(), batch, nil)
	case "large":
		body := []byte(strings.Repeat("x", int(step[2].(float64))))
		return to.SendMessage(soon(), &azservicebus.Message{Body: body}, nil)
	case "schedule":
		at := time.Now().Add(time.Duration(step[3].(float64)) * time.Millisecond)
		numbers, err := to.ScheduleMessages(soon(), []*azservicebus.Message{made(step[2].(object))}, at, nil)
		kept[step[4].(string)] = numbers
		return err
	default:
		return to.CancelScheduledMessages(soon(), kept[step[2].(string)], nil)
	}
}

func look(name string, step []any) error {
	options, _ := step[len(step)-1].(object)
	from, err := open(step[1].(string), options["mode"] != nil, options["dead"] == true)
	if err != nil {
		return err
	}
	defer from.Close(soon())
	switch name {
	case "receive":
		return take(from, int(step[2].(float64)), options)
	case "deferred":
		messages, err := from.ReceiveDeferredMessages(soon(), kept[step[2].(string)], nil)
		if err != nil {
			return err
		}
		if err := check(messages, options["expect"]); err != nil {
			return err
		}
		for _, message := range messages {
			if err := from.CompleteMessage(soon(), message, nil); err != nil {
				return err
			}
		}
		return nil
	case "peek":
		messages, err := from.PeekMessages(soon(), int(step[2].(float64)), nil)
		if err != nil {
			return err
		}
		if wanted := step[3].([]any); len(messages) != len(wanted) {
			return fmt.Errorf("%d messages, not %d", len(messages), len(wanted))
		}
		return check(messages, step[3])
	case "renewed":
		messages, err := from.ReceiveMessages(soon(), 1, nil)
		if err != nil {
			return err
		}
		if err := from.RenewMessageLock(soon(), messages[0], nil); err != nil {
			return err
		}
		return from.CompleteMessage(soon(), messages[0], nil)
	case "empty":
		messages, err := from.ReceiveMessages(within(500*time.Millisecond), 1, nil)
		if len(messages) > 0 || (err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled)) {
			return fmt.Errorf("%d messages, %v", len(messages), err)
		}
		return nil
	}
	return fmt.Errorf("unknown step %s", name)
}

func administer(what, name string, rest []any) error {
	deliveries := func() *int32 {
		count := int32(rest[0].(object)["deliveries"].(float64))
		return &count
	}
	switch what {
	case "create queue":
		lock := rest[0].(object)["lock"].(string)
		_, err := administration.CreateQueue(soon(), name, &admin.CreateQueueOptions{
			Properties: &admin.QueueProperties{LockDuration: &lock, MaxDeliveryCount: deliveries()},
		})
		return err
	case "get queue":
		found, err := administration.GetQueue(soon(), name, nil)
		if err != nil {
			return err
		}
		if found == nil {
			return errors.New("there is none")
		}
		if *found.LockDuration != rest[0].(object)["lock"] || *found.MaxDeliveryCount != *deliveries() {
			return fmt.Errorf("%s, %d", *found.LockDuration, *found.MaxDeliveryCount)
		}
		return nil
	case "update queue":
		found, err := administration.GetQueue(soon(), name, nil)
		if err != nil {
			return err
		}
		found.MaxDeliveryCount = deliveries()
		_, err = administration.UpdateQueue(soon(), name, found.QueueProperties, nil)
		return err
	case "count":
		found, err := administration.GetQueueRuntimeProperties(soon(), name, nil)
		if err == nil && found.ActiveMessageCount != int32(rest[0].(float64)) {
			return fmt.Errorf("%d active", found.ActiveMessageCount)
		}
		return err
	case "list queues":
		for pages := administration.NewListQueuesPager(nil); pages.More(); {
			page, err := pages.NextPage(soon())
			if err != nil {
				return err
			}
			for _, queue := range page.Queues {
				if queue.QueueName == name {
					return nil
				}
			}
		}
		return errors.New("it is not listed")
	case "delete queue":
		_, err := administration.DeleteQueue(soon(), name, nil)
		return err
	case "create topic":
		_, err := administration.CreateTopic(soon(), name, nil)
		return err
	case "create subscription":
		subscription, mine := rest[0].(string), "mine"
		if _, err := administration.CreateSubscription(soon(), name, subscription, nil); err != nil {
			return err
		}
		options := &admin.CreateRuleOptions{Name: &mine, Filter: &admin.SQLFilter{Expression: rest[1].(string)}}
		if _, err := administration.CreateRule(soon(), name, subscription, options); err != nil {
			return err
		}
		_, err := administration.DeleteRule(soon(), name, subscription, "$Default", nil)
		return err
	}
	return fmt.Errorf("unknown step %s", what)
}

func run(step []any) error {
	name := step[0].(string)
	switch name {
	case "administer":
		return administer(step[1].(string), step[2].(string), step[3:])
	case "send", "batch", "large", "schedule", "cancel":
		return send(name, step)
	case "session":
		var held *azservicebus.SessionReceiver
		var err error
		if id, ok := step[2].(string); ok {
			held, err = client.AcceptSessionForQueue(soon(), step[1].(string), id, nil)
		} else {
			held, err = client.AcceptNextSessionForQueue(soon(), step[1].(string), nil)
		}
		if err != nil {
			return err
		}
		defer held.Close(soon())
		return inSession(held, step[3].([]any))
	case "error":
		if run(step[1].([]any)) == nil {
			return errors.New("no error")
		}
		return nil
	default:
		return look(name, step)
	}
}

func main() {
	options := &azservicebus.ClientOptions{RetryOptions: azservicebus.RetryOptions{MaxRetries: -1}}
	if len(os.Args) > 3 {
		pem, _ := os.ReadFile(os.Args[3])
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		options.TLSConfig = &tls.Config{RootCAs: roots}
	}
	var err error
	if client, err = azservicebus.NewClientFromConnectionString(os.Args[2], options); err != nil {
		panic(err)
	}
	if administration, err = admin.NewClientFromConnectionString(os.Getenv("ADMINISTRATION"), nil); err != nil {
		panic(err)
	}
	text, _ := os.ReadFile(os.Args[1])
	var list struct {
		Scenarios []struct {
			Name  string
			Steps [][]any
		}
	}
	if err := json.Unmarshal(text, &list); err != nil {
		panic(err)
	}
	for _, scenario := range list.Scenarios {
		var why any
		for _, step := range scenario.Steps {
			if err := run(step); err != nil {
				why = err.Error()
				break
			}
		}
		verdict := struct {
			Name string `json:"name"`
			Why  any    `json:"why"`
		}{scenario.Name, why}
		line, _ := json.Marshal(verdict)
		fmt.Println(string(line))
	}
}
