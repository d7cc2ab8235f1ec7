// Takes out of links what only serves to follow people around: `utm_source`, `fbclid`, `spm` and the like. What is left
// of the link still leads where it led.
import { count } from 'isthmus:policy/metrics@1.0.0';

const schema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'untracked',
  type: 'object',
  additionalProperties: false,
  properties: {
    parameters: {
      type: 'array',
      items: { type: 'string', minLength: 1, maxLength: 64 },
      maxItems: 200,
      description: 'Names of parameters that are taken out; `*` stands for any characters. Left out: the usual ones.',
    },
    keep_hosts: {
      type: 'array',
      items: { type: 'string', minLength: 1 },
      description: 'Hosts whose links are left alone; `*` stands for any characters.',
    },
  },
};

const USUAL = ['utm_*', 'fbclid', 'gclid', 'dclid', 'msclkid', 'yclid', 'mc_eid', 'igshid', 'spm', 'scm', 'share_source'];
const LINK = /\bhttps?:\/\/([^\s\/?#]+)([^\s?#]*)\?([^\s#]*)/giu;

let tracks = [];
let kept = [];

export const lifecycle = {
  settingsSchema: () => JSON.stringify(schema),

  validateSettings(settings) {
    const { parameters = [] } = JSON.parse(settings);
    const all = parameters.findIndex((name) => /^\*+$/.test(name));
    if (all < 0) return [];
    const message = 'takes every parameter out of every link: most links will lead elsewhere';
    return [{ severity: 'warning', pointer: `/parameters/${all}`, message }];
  },

  init(settings) {
    const { parameters = USUAL, keep_hosts: hosts = [] } = JSON.parse(settings);
    tracks = parameters.map(pattern);
    kept = hosts.map(pattern);
  },
};

export const contentHook = {
  judge(call, item) {
    if (!item.text.includes('?')) return { verdict: { tag: 'pass' }, labels: [] };
    let taken = 0;
    const text = item.text.replace(LINK, (link, host, path, query) => {
      if (kept.some((keep) => keep.test(host))) return link;
      const parts = query.split('&');
      const left = parts.filter((part) => !tracks.some((track) => track.test(part.split('=', 1)[0])));
      if (left.length === parts.length) return link;
      taken += parts.length - left.length;
      const before = link.slice(0, link.length - query.length - 1);
      return left.length > 0 ? `${before}?${left.join('&')}` : before;
    });
    if (taken === 0) return { verdict: { tag: 'pass' }, labels: [] };
    count('parameters_taken', taken);
    return { verdict: { tag: 'rewrite', val: text }, labels: ['untracked'] };
  },
};

function pattern(text) {
  const parts = text.split('*').map((part) => part.replace(/[\\^$.|?+()[\]{}]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`, 'iu');
}
