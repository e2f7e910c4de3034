mod cure;
mod failover;
mod fleet;
mod hold;
mod life;
mod random;
mod sim;
mod world;
