const HOST = '_SERVICE_HOST';
const PORT = '_SERVICE_PORT';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Tells the variables with which Kubernetes shows each pod the services of its namespace, after Docker's links. Those of a
 * service called `resilience-demo` begin as ours do: `RESILIENCE_DEMO_SERVICE_HOST`.
 */
export function serviceLinksOf(env: Environment): (name: string) => boolean {
  const services = Object.keys(env)
    .filter((name) => name.endsWith(HOST))
    .map((name) => name.slice(0, -HOST.length))
    .filter((service) => env[service + PORT] !== undefined);
  return (name) => services.some((service) => isLinkOf(service, name));
}

/** `_SERVICE_HOST`, `_SERVICE_PORT`, `_SERVICE_PORT_HTTP`, `_PORT`, `_PORT_80_TCP`, `_PORT_80_TCP_ADDR`. */
function isLinkOf(service: string, name: string): boolean {
  if (!name.startsWith(service)) return false;
  return /^_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$/.test(
    name.slice(service.length),
  );
}
