/**
 * grpc-js' ideas of which addresses there are and when to dial them, replaced: the one address that the channel was made for, one
 * attempt, no second one behind our back, and nothing left over when it fails (its own policies keep timers).
 *
 * A channel takes part by {@link oneAddressTarget} and {@link oneAddressOptions}.
 */
import * as grpc from "@grpc/grpc-js";

type Address = grpc.experimental.SubchannelAddress & { readonly signal: AbortSignal };
type StateListener = (state: grpc.connectivityState) => void;

const { experimental } = grpc;
const NAME = "mesh-agent";
const ADDRESS = "mesh-agent.address";
const LISTENER = "mesh-agent.listener";
/** grpc-js starts a timer of this length with every dial and lets it run when the dial fails, ms. */
const BACKOFF_MS = 1;

export function registerOneAddress(): void {
  experimental.registerResolver(NAME, OneAddress);
  experimental.registerLoadBalancerType(NAME, OneAttempt, OneAttemptConfig);
}

/** Target string of a channel; `authority` is `host:port`. */
export function oneAddressTarget(authority: string): string {
  return `${NAME}:${authority}`;
}

/** `address` goes to `net.connect` as it is: its signal ends the dial, and the connection. */
export function oneAddressOptions(address: Address, listener: StateListener): grpc.ChannelOptions {
  return {
    [ADDRESS]: address,
    [LISTENER]: listener,
    "grpc.service_config": JSON.stringify({ loadBalancingConfig: [{ [NAME]: {} }] }),
    "grpc.initial_reconnect_backoff_ms": BACKOFF_MS,
    "grpc.max_reconnect_backoff_ms": BACKOFF_MS,
  };
}

/** Resolves after every timer of a failed dial is gone. */
export function backoffOver(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 2 * BACKOFF_MS));
}

class OneAddress implements grpc.experimental.Resolver {
  #told = false;

  constructor(
    _target: unknown,
    readonly listener: grpc.experimental.ResolverListener,
    readonly options: grpc.ChannelOptions,
  ) {}

  updateResolution(): void {
    if (this.#told) return;
    this.#told = true;
    queueMicrotask(() => {
      const addresses = [this.options[ADDRESS]];
      this.listener(experimental.statusOrFromValue([{ addresses }]), {}, null, "");
    });
  }

  destroy(): void {
    this.#told = true;
  }

  static getDefaultAuthority(target: { readonly path: string }): string {
    return target.path;
  }
}

class OneAttemptConfig implements grpc.experimental.TypedLoadBalancingConfig {
  getLoadBalancerName(): string {
    return NAME;
  }

  toJsonObject(): object {
    return { [NAME]: {} };
  }

  static createFromJson(): OneAttemptConfig {
    return new OneAttemptConfig();
  }
}

class OneAttempt implements grpc.experimental.LoadBalancer {
  #subchannel: grpc.experimental.SubchannelInterface | null = null;
  #tell: StateListener = () => {};
  readonly #changed: grpc.experimental.ConnectivityStateListener = (
    _subchannel,
    _before,
    state,
    _ping,
    error,
  ) => this.#report(state, error);

  constructor(readonly helper: grpc.experimental.ChannelControlHelper) {}

  updateAddressList(
    endpoints: { readonly ok: boolean; readonly value?: grpc.experimental.Endpoint[] },
    _config: unknown,
    options: grpc.ChannelOptions,
  ): boolean {
    const address = endpoints.value?.[0]?.addresses[0];
    if (address === undefined || this.#subchannel !== null) return true;
    this.#tell = options[LISTENER];
    const subchannel = this.helper.createSubchannel(address, options);
    this.#subchannel = subchannel;
    subchannel.ref();
    subchannel.addConnectivityStateListener(this.#changed);
    this.#report(grpc.connectivityState.CONNECTING);
    subchannel.startConnecting();
    return true;
  }

  exitIdle(): void {}

  resetBackoff(): void {}

  destroy(): void {
    this.#subchannel?.removeConnectivityStateListener(this.#changed);
    this.#subchannel?.unref();
    this.#subchannel = null;
  }

  getTypeName(): string {
    return NAME;
  }

  #report(state: grpc.connectivityState, error?: string): void {
    const { CONNECTING, READY } = grpc.connectivityState;
    const failure = new experimental.UnavailablePicker({ details: error ?? "Connection dropped" });
    const subchannel = this.#subchannel;
    const picker: grpc.experimental.Picker = state === READY
      ? {
        pick: () => ({
          pickResultType: experimental.PickResultType.COMPLETE,
          subchannel,
          status: null,
          onCallStarted: null,
          onCallEnded: null,
        }),
      }
      : state === CONNECTING
      ? new experimental.QueuePicker(this)
      : failure;
    // It is never idle: a connection that ended is not made again.
    const shown = state === READY || state === CONNECTING ? state : grpc.connectivityState.TRANSIENT_FAILURE;
    this.helper.updateState(shown, picker, error ?? null);
    this.#tell(state);
  }
}
