/** Entities by the JavaScript SDK's administration client, and rules by its rule manager. */
import assert from 'node:assert/strict';
import type { CorrelationRuleFilter, ServiceBusClient, SqlRuleFilter } from '@azure/service-bus';
import type { Brief } from '../brief.ts';
import type { Rule, Step } from '../steps.ts';
import { administrationClientOf } from './client.ts';

type Of<Do extends Step['do']> = Extract<Step, { do: Do }>;

function filterOf({ sql, correlation = {} }: Rule): SqlRuleFilter | CorrelationRuleFilter {
  if (sql !== undefined) return { sqlExpression: sql };
  const { subject, correlationId, properties } = correlation;
  return {
    ...(subject === undefined ? {} : { subject }),
    ...(correlationId === undefined ? {} : { correlationId }),
    ...(properties === undefined ? {} : { applicationProperties: properties }),
  };
}

const actionOf = ({ action }: Rule) => (action === undefined ? {} : { sqlExpression: action });

export async function administer(brief: Brief, step: Of<'administer'>): Promise<void> {
  const client = administrationClientOf(brief);
  const { name, with: asked = {} } = step;
  const maxDeliveryCount = asked.deliveries ?? 0;
  const lockDuration = `PT${asked.lockSeconds}S`;
  const autoDeleteOnIdle = `PT${asked.idleMinutes}M`;
  switch (step.what) {
    case 'create queue':
      return void (await client.createQueue(name, {
        ...{ lockDuration, maxDeliveryCount, autoDeleteOnIdle },
      }));
    case 'get queue': {
      const found = await client.getQueue(name);
      assert.equal(found.lockDuration, lockDuration);
      assert.equal(found.autoDeleteOnIdle, autoDeleteOnIdle);
      return assert.equal(found.maxDeliveryCount, maxDeliveryCount);
    }
    case 'update queue': {
      const found = await client.getQueue(name);
      return void (await client.updateQueue({ ...found, maxDeliveryCount }));
    }
    case 'list queue': {
      const names: string[] = [];
      for await (const queue of client.listQueues()) names.push(queue.name);
      return assert.ok(names.includes(name), 'it is not listed');
    }
    case 'count queue': {
      const { activeMessageCount } = await client.getQueueRuntimeProperties(name);
      return assert.equal(activeMessageCount, asked.active);
    }
    case 'delete queue':
      return void (await client.deleteQueue(name));
    case 'create topic':
      return void (await client.createTopic(name));
    case 'create subscription': {
      const { subscription = '', rule = { name: '' } } = asked;
      await client.createSubscription(name, subscription);
      await client.createRule(name, subscription, rule.name, filterOf(rule), actionOf(rule));
      return void (await client.deleteRule(name, subscription, '$Default'));
    }
  }
}

export async function manageRules(client: ServiceBusClient, step: Of<'rules'>): Promise<void> {
  const [topic = '', subscription = ''] = step.of.split('/');
  const rules = client.createRuleManager(topic, subscription);
  const { add, remove, expect } = step;
  if (add) await rules.createRule(add.name, filterOf(add), actionOf(add));
  if (remove) await rules.deleteRule(remove);
  if (!expect) return;
  const names: string[] = [];
  for await (const { name } of rules.listRules()) names.push(name);
  assert.deepEqual(names.sort(), expect);
}
