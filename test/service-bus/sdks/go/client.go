package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/coder/websocket"
)

const patience = 10 * time.Second

// Long enough for what is there to come, on a machine that is busy.
const emptiness = 500 * time.Millisecond

func within(limit time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	time.AfterFunc(limit, cancel)
	return ctx
}

func soon() context.Context { return within(patience) }

func newClient(how brief) (*azservicebus.Client, error) {
	retries := azservicebus.RetryOptions{MaxRetries: -1}
	options := &azservicebus.ClientOptions{RetryOptions: retries}
	if how.Ca != "" {
		pem, err := os.ReadFile(how.Ca)
		if err != nil {
			return nil, err
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		options.TLSConfig = &tls.Config{RootCAs: roots}
	}
	if how.Way == "websockets" {
		transport := &http.Transport{TLSClientConfig: options.TLSConfig}
		options.TLSConfig = nil
		options.NewWebSocketConn = overWebSockets(how, &http.Client{Transport: transport})
	}
	return azservicebus.NewClientFromConnectionString(how.Connection, options)
}

type connect = func(context.Context, azservicebus.NewWebSocketConnArgs) (net.Conn, error)

func overWebSockets(how brief, client *http.Client) connect {
	return func(ctx context.Context, args azservicebus.NewWebSocketConnArgs) (net.Conn, error) {
		// The address that the SDK gives has no port.
		at := strings.Replace(args.Host, how.Host, fmt.Sprintf("%s:%d", how.Host, how.Port), 1)
		options := &websocket.DialOptions{Subprotocols: []string{"AMQPWSB10"}, HTTPClient: client}
		socket, _, err := websocket.Dial(ctx, at, options)
		if err != nil {
			return nil, err
		}
		socket.SetReadLimit(-1)
		return websocket.NetConn(context.Background(), socket, websocket.MessageBinary), nil
	}
}
