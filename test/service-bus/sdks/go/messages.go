package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

type object = map[string]any

// A message as it is sent.
type sent struct {
	Body          string
	Value         any
	Sequence      []any
	ID            *string
	Session       *string
	Subject       *string
	CorrelationID *string
	Properties    object
	TTLMs         *int64
}

// What JSON has of numbers is float64; whole ones are sent as such.
func plain(value any) any {
	if number, ok := value.(float64); ok && number == float64(int64(number)) {
		return int64(number)
	}
	return value
}

func plainOf(properties object) object {
	if properties == nil {
		return nil
	}
	all := object{}
	for name, value := range properties {
		all[name] = plain(value)
	}
	return all
}

func made(of sent) *azservicebus.Message {
	message := &azservicebus.Message{
		Body:                  []byte(of.Body),
		MessageID:             of.ID,
		SessionID:             of.Session,
		Subject:               of.Subject,
		CorrelationID:         of.CorrelationID,
		ApplicationProperties: plainOf(of.Properties),
	}
	if of.TTLMs != nil {
		ttl := time.Duration(*of.TTLMs) * time.Millisecond
		message.TimeToLive = &ttl
	}
	return message
}

// Of a body that is no data; nil of one that is.
func annotated(of sent) *azservicebus.AMQPAnnotatedMessage {
	if of.Value != nil {
		body := azservicebus.AMQPAnnotatedMessageBody{Value: plain(of.Value)}
		return &azservicebus.AMQPAnnotatedMessage{Body: body}
	}
	if of.Sequence != nil {
		items := []any{}
		for _, item := range of.Sequence {
			items = append(items, plain(item))
		}
		body := azservicebus.AMQPAnnotatedMessageBody{Sequence: [][]any{items}}
		return &azservicebus.AMQPAnnotatedMessage{Body: body}
	}
	return nil
}

func text(value *string) any {
	if value == nil {
		return nil
	}
	return *value
}

func found(message *azservicebus.ReceivedMessage, name string) any {
	switch name {
	case "body":
		return string(message.Body)
	case "value":
		return message.RawAMQPMessage.Body.Value
	case "sequence":
		items := []any{}
		for _, section := range message.RawAMQPMessage.Body.Sequence {
			items = append(items, section...)
		}
		return items
	case "id":
		return message.MessageID
	case "session":
		return text(message.SessionID)
	case "subject":
		return text(message.Subject)
	case "correlationId":
		return text(message.CorrelationID)
	case "deliveries":
		// The SDK counts the delivery that is being looked at.
		return message.DeliveryCount - 1
	case "reason":
		return text(message.DeadLetterReason)
	case "description":
		return text(message.DeadLetterErrorDescription)
	}
	return fmt.Errorf("unknown: %s", name)
}

func check(messages []*azservicebus.ReceivedMessage, expected []object) error {
	if len(messages) < len(expected) {
		return fmt.Errorf("%d messages, not %d", len(messages), len(expected))
	}
	different := []string{}
	same := func(name string, found, wanted any) {
		if fmt.Sprint(found) != fmt.Sprint(wanted) {
			different = append(different, fmt.Sprintf("%s: %v, not %v", name, found, wanted))
		}
	}
	for n, each := range expected {
		for name, value := range each {
			if name != "properties" {
				same(name, found(messages[n], name), value)
				continue
			}
			for key, one := range value.(object) {
				same(key, messages[n].ApplicationProperties[key], one)
			}
		}
	}
	if len(different) > 0 {
		return fmt.Errorf("%s", strings.Join(different, "; "))
	}
	return nil
}
