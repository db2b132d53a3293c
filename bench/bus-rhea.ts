/** Bare rhea as a server: takes and keeps messages, gives them out again, knows no rule. */
import rhea, { type Sender } from 'rhea';

const kept: unknown[] = [];
const container = rhea.create_container({ autoaccept: true, autosettle: true });
const mechanisms = container.sasl_server_mechanisms as unknown as Record<string, () => void>;
mechanisms['enable_anonymous']?.();
container.on('message', ({ message }) => {
  kept.push(message);
});
let at = 0;
function give(sender: Sender): void {
  while (sender.sendable() && at < kept.length) sender.send(kept[at++] as never);
}
container.on('sendable', ({ sender }) => {
  if (sender) give(sender);
});
const server = container.listen({
  port: 0,
  host: '127.0.0.1',
  receiver_options: { credit_window: 1000 },
} as never);
server.on('listening', () => process.send?.((server.address() as { port: number }).port));
process.on('disconnect', () => process.exit());
