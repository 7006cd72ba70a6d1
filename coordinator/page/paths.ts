/** Paths of the page, as Fastify writes them, without the base that it is mounted at; none of them is part of the API. */
export const pagePaths = {
  fleet: '/',
  node: '/nodes/:name',
  drills: '/drills',
  drill: '/drills/:name',
  abort: '/drills/:name/abort',
  restore: '/drills/:name/restore',
  killSwitch: '/killswitch',
  coverage: '/coverage',
  faults: '/faults',
  fault: '/faults/:name',
  why: '/why',
  form: '/new',
  style: '/assets/style.css',
  client: '/assets/client.js',
  icon: '/assets/icon.svg',
} as const;
