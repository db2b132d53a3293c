package main

import (
	"errors"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus/admin"
)

type asked struct {
	LockSeconds  int
	Deliveries   int32
	IdleMinutes  int
	Active       int32
	Subscription string
	Rule         rule
}

type rule struct {
	Name        string
	SQL         string
	Action      string
	Correlation *struct {
		Subject       *string
		CorrelationID *string
		Properties    object
	}
}

func optionsOf(of rule) *admin.CreateRuleOptions {
	options := &admin.CreateRuleOptions{Name: &of.Name}
	if of.Action != "" {
		options.Action = &admin.SQLAction{Expression: of.Action}
	}
	if of.Correlation == nil {
		options.Filter = &admin.SQLFilter{Expression: of.SQL}
		return options
	}
	options.Filter = &admin.CorrelationFilter{
		Subject:               of.Correlation.Subject,
		CorrelationID:         of.Correlation.CorrelationID,
		ApplicationProperties: plainOf(of.Correlation.Properties),
	}
	return options
}

func administer(how brief, of step) error {
	client, err := admin.NewClientFromConnectionString(how.Administration, nil)
	if err != nil {
		return err
	}
	lock := fmt.Sprintf("PT%dS", of.With.LockSeconds)
	idle := fmt.Sprintf("PT%dM", of.With.IdleMinutes)
	deliveries := &of.With.Deliveries
	switch of.What {
	case "create queue":
		properties := &admin.QueueProperties{
			LockDuration: &lock, MaxDeliveryCount: deliveries, AutoDeleteOnIdle: &idle,
		}
		options := &admin.CreateQueueOptions{Properties: properties}
		_, err := client.CreateQueue(soon(), of.Name, options)
		return err
	case "get queue", "update queue":
		found, err := client.GetQueue(soon(), of.Name, nil)
		if err != nil {
			return err
		}
		if found == nil {
			return errors.New("there is none")
		}
		if of.What == "update queue" {
			found.MaxDeliveryCount = deliveries
			_, err = client.UpdateQueue(soon(), of.Name, found.QueueProperties, nil)
			return err
		}
		if *found.AutoDeleteOnIdle != idle {
			return errors.New(*found.AutoDeleteOnIdle)
		}
		if *found.LockDuration != lock || *found.MaxDeliveryCount != *deliveries {
			return fmt.Errorf("%s, %d", *found.LockDuration, *found.MaxDeliveryCount)
		}
		return nil
	case "count queue":
		found, err := client.GetQueueRuntimeProperties(soon(), of.Name, nil)
		if err == nil && found.ActiveMessageCount != of.With.Active {
			return fmt.Errorf("%d active", found.ActiveMessageCount)
		}
		return err
	case "list queue":
		return listed(client, of.Name)
	case "delete queue":
		_, err := client.DeleteQueue(soon(), of.Name, nil)
		return err
	case "create topic":
		_, err := client.CreateTopic(soon(), of.Name, nil)
		return err
	case "create subscription":
		subscription := of.With.Subscription
		if _, err := client.CreateSubscription(soon(), of.Name, subscription, nil); err != nil {
			return err
		}
		options := optionsOf(of.With.Rule)
		if _, err := client.CreateRule(soon(), of.Name, subscription, options); err != nil {
			return err
		}
		_, err := client.DeleteRule(soon(), of.Name, subscription, "$Default", nil)
		return err
	}
	return fmt.Errorf("unknown: %s", of.What)
}

func listed(client *admin.Client, name string) error {
	for pages := client.NewListQueuesPager(nil); pages.More(); {
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
}
