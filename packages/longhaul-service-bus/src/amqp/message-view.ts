/** What rules see of a message and may change: its properties and application properties. */
import type { Change, Look, Value } from '../entity/sql.ts';
import {
  applicationPropertiesOf,
  type Content,
  fieldsOf,
  withApplicationProperties,
  withFields,
} from './message.ts';

export interface MessageView {
  look: Look;
}

// The places of the fields in the properties section (AMQP 1.0, part 3, 3.2.4), by their names in SQL.
const places: Record<string, number> = {
  messageid: 0,
  userid: 1,
  to: 2,
  label: 3,
  subject: 3,
  replyto: 4,
  correlationid: 5,
  contenttype: 6,
  sessionid: 10,
  replytosessionid: 12,
};

const plain = (value: unknown): Value => {
  if (value === undefined || value === null) return null;
  if (typeof value === 'bigint') return Number(value);
  if (Buffer.isBuffer(value) && value.length === 8) return Number(value.readBigInt64BE());
  if (value instanceof Date || ['string', 'number', 'boolean'].includes(typeof value))
    return value as Value;
  return String(value);
};

export function viewOf(content: Content): MessageView {
  let fields: unknown[] | undefined;
  let application: Map<string, unknown> | undefined;
  return {
    look(scope, name) {
      const key = name.toLowerCase();
      if (scope === 'sys') {
        if (key === 'timetolive') return content.header.ttl ?? null;
        const place = places[key];
        fields ??= fieldsOf(content.bare);
        return place === undefined ? null : plain(fields[place]);
      }
      application ??= applicationPropertiesOf(content.bare);
      if (application.has(name)) return plain(application.get(name));
      for (const [other, value] of application)
        if (other.toLowerCase() === key) return plain(value);
      return null;
    },
  };
}

/** The message with these properties set, or removed where the value is null. */
export function withChanges(content: Content, changes: readonly Change[]): Content {
  let { bare, sessionId, messageId } = content;
  for (const { scope, name, value } of changes) {
    const place = places[name.toLowerCase()];
    if (scope === 'user') bare = withApplicationProperties(bare, { [name]: value });
    else if (place !== undefined) {
      bare = withFields(bare, new Map([[place, value]]));
      if (place === 10) sessionId = value === null ? undefined : String(value);
      if (place === 0 && value !== null) messageId = String(value);
    }
  }
  return { ...content, bare, sessionId, messageId };
}
