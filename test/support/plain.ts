import rhea, { type Connection } from 'rhea';

/** A plain AMQP 1.0 client of the embedded broker, no SDK. `close` it, or its heartbeats go on. */
export function plainConnection(port: number, more: { idle_time_out?: number } = {}): Connection {
  return rhea
    .create_container()
    .connect({ port, host: '127.0.0.1', reconnect: false, username: 'a', ...more });
}
